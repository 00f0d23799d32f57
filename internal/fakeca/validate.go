package fakeca

import (
	"context"
	"errors"
)

// validate asks whoever looks at challenges; without one every challenge is good.
func (ca *CA) validate(s *session, v Validation) *Problem {
	if ca.o.Validate == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), maxValidation)
	defer cancel()
	err := ca.o.Validate(ctx, v)
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return problem(400, "connection", "%s", err)
}
