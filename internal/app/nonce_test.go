package app_test

import (
	"testing"

	"github.com/certfleet/certfleet/internal/pebble"
)

// TestThreeOfTenNoncesRefused issues through a CA that refuses good nonces, and
// uses authorizations again or never.
func TestThreeOfTenNoncesRefused(t *testing.T) {
	t.Parallel()
	for name, reuse := range map[string]int{"authorizations used again": 90, "never": 0} {
		t.Run(name, func(t *testing.T) {
			f := start(t, pebble.Options{NonceReject: 30, AuthzReuse: reuse})
			one, two := f.want(t, "default", nil, "a.example", "b.example"), f.want(t, "default", nil, "b.example")
			f.run(t)
			for _, id := range []int64{one.ID, two.ID} {
				until(t, "issue", func() (bool, string) {
					got, saw := f.state(t, id)
					return got.VersionID != 0, saw
				})
			}
		})
	}
}
