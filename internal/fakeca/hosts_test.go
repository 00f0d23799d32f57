package fakeca_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet/internal/fakeca"
)

// host is a name under a registered domain of its own.
func host(i int) string { return fmt.Sprintf("www.shop-%d.example", i) }

// only lets these names be validated.
func only(good ...string) func(context.Context, fakeca.Validation) error {
	return func(_ context.Context, v fakeca.Validation) error {
		if slices.Contains(good, v.Name) {
			return nil
		}
		return &fakeca.Problem{Type: "dns", Detail: "no such name: " + v.Name}
	}
}
