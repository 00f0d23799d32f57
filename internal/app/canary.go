package app

import (
	"context"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/deliver"
	"github.com/certfleet/certfleet/internal/store"
)

// canaryProblem is why a target cannot be proven as the canary of its group: nobody
// looks at it, and it was handed versions of which it never said that it holds one.
// It is nil for one that can, or that is not known yet.
func (a *App) canaryProblem(ctx context.Context, t *certfleet.StoredTarget) error {
	if !t.Canary || t.Group == "" || len(t.Probe) > 0 && t.Proof != certfleet.ProofNone {
		return nil
	}
	list, _, err := a.DB.Deliveries(ctx, store.DeliveryFilter{Tenant: t.Tenant, TargetID: t.ID, Limit: 1})
	if err != nil || len(list) == 0 {
		return err
	}
	mute, err := a.DB.Mute(ctx, list[0].VersionID, t)
	if err != nil || !mute {
		return err
	}
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("nobody looks at the canary of group %s, and it does not say that it holds what it is handed: the others get a version only when theirs ends soon", t.Group),
		Advice: deliver.MuteAdvice(t)}
}
