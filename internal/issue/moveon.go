package issue

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
)

// patience is how long a first order waits for a CA that does not answer, where
// the policy has a second one; longer is how long any order waits for another CA
// than the first.
const (
	patience = 20 * time.Minute
	longer   = time.Hour
)

// movesOn reports whether an order that waits for its CA is better given up, so
// that the next one goes to another authority of the policy: when half of the time
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
	labels := p.Spec.Authorities
	at := r.placeOf(ctx, j.cert.Tenant, o.AuthorityID, labels)
	if at < 0 || at > 0 && time.Since(o.CreatedAt) < longer {
		return false
	}
	next := plan.Next(len(labels), at, func(i int) bool { return r.permitted(ctx, j.cert, p, labels[i]) })
	if next == at {
		return false
	}
	_, _, err = r.accountAt(ctx, j.cert, p, labels[next])
	return err == nil
}

func (r *Room) tooLate(ctx context.Context, j *job) bool {
	if j.cert.VersionID == 0 {
		return time.Since(j.order.CreatedAt) > patience
	}
	v, err := r.DB.Version(ctx, j.cert.VersionID)
	return err == nil && plan.FailsOver(time.Now(), v.NotBefore, v.NotAfter, j.cert.Failures+1)
}
