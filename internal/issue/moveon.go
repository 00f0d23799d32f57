package issue

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
)

// patience is how long a first order waits for a CA that does not answer, where
// the policy has a second one.
const patience = 20 * time.Minute

// movesOn reports whether an order that waits for its CA is better given up, so
// that the next one goes to the policy's second authority: when half of the time
// set aside for renewing is gone.
func (r *Room) movesOn(ctx context.Context, j *job) bool {
	o := j.order
	if o.Manual || o.Slot == certfleet.SlotBackup {
		return false
	}
	p, err := r.DB.Policy(ctx, j.cert.PolicyID)
	if err != nil || len(p.Spec.Authorities) < 2 || !r.tooLate(ctx, j) {
		return false
	}
	first, err := r.DB.AuthorityByLabel(ctx, j.cert.Tenant, p.Spec.Authorities[0])
	if err != nil || first.ID != o.AuthorityID {
		return false
	}
	_, _, err = r.accountAt(ctx, j.cert, p, p.Spec.Authorities[1])
	return err == nil && r.permitted(ctx, j.cert, p, p.Spec.Authorities[1])
}

func (r *Room) tooLate(ctx context.Context, j *job) bool {
	if j.cert.VersionID == 0 {
		return time.Since(j.order.CreatedAt) > patience
	}
	v, err := r.DB.Version(ctx, j.cert.VersionID)
	return err == nil && plan.FailsOver(time.Now(), v.NotBefore, v.NotAfter, j.cert.Failures+1)
}
