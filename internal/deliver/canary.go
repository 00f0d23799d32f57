package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// canarySings lets the rest of the group have what its canary was seen serving.
func (r *Room) canarySings(ctx context.Context, tx *store.Tx, d *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	n, err := tx.FreeHeld(ctx, d.VersionID, stored)
	if err != nil || n == 0 {
		return err
	}
	return tx.Event(ctx, *event(d, "canary.passed", fmt.Sprintf("%s serves it; %d more of group %s follow", stored.Label, n, stored.Group)))
}

// passOver tells of those that go out without having seen their canary.
func passOver(ctx context.Context, tx *store.Tx, list []*certfleet.Delivery, stored *certfleet.StoredTarget) error {
	for _, d := range list {
		if !d.Held {
			continue
		}
		d.Held, d.Problem = false, ""
		e := event(d, "canary.passed_over", fmt.Sprintf("version %d goes to %s although the canary of group %s was not seen serving it: what is there ends soon", d.VersionID, stored.Label, stored.Group))
		if err := tx.Event(ctx, *e); err != nil {
			return err
		}
	}
	return nil
}

// canaryFails stops a version whose canary is not seen serving it: the canary gets
// back the last version that was, and the rest of the group waits for somebody. It
// answers the event that says so.
func (r *Room) canaryFails(ctx context.Context, tx *store.Tx, d *certfleet.Delivery, stored *certfleet.StoredTarget, problem string) (*certfleet.Event, error) {
	back := "there is no earlier version to go back to"
	good, err := tx.RollBack(ctx, d)
	switch {
	case err == nil:
		back = fmt.Sprintf("it gets back version %d", good.VersionID)
	case certfleet.KindOf(err) != certfleet.NotFound:
		return nil, err
	}
	d.State, d.DueAt = certfleet.DeliveryFailed, time.Time{}
	d.Problem = fmt.Sprintf("canary %s was not seen serving version %d: %s; %s", stored.Label, d.VersionID, problem, back)
	d.Advice = "mend the service at " + stored.Label + ", then run certfleet deliver with --force; a newer version is tried by itself"
	err = tx.StopHeld(ctx, d.VersionID, stored, "the canary of its group failed: "+d.Problem, d.Advice)
	return event(d, "canary.failed", d.Problem), err
}
