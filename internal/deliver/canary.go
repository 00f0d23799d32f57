package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// canarySings lets the rest of the group have what its canary was seen serving, or
// holds where nobody looks.
func (r *Room) canarySings(ctx context.Context, tx *store.Tx, d *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	n, err := tx.FreeHeld(ctx, d.VersionID, stored)
	if err != nil || n == 0 {
		return err
	}
	does := "holds"
	if d.State == certfleet.DeliveryServed {
		does = "serves"
	}
	return tx.Event(ctx, *event(d, "canary.passed", fmt.Sprintf("%s %s it; %d more of group %s follow", stored.Label, does, n, stored.Group)))
}

// canaryAlone decides for a canary at which nobody looks: its own word that it holds
// the version lets the others have it, and without that nothing ever will.
func (r *Room) canaryAlone(ctx context.Context, tx *store.Tx, d *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	if d.State == certfleet.DeliveryApplied && d.Problem == "" {
		return r.canarySings(ctx, tx, d, stored)
	}
	if dumb, err := tx.Mute(ctx, d.VersionID, stored); err != nil || !dumb {
		return err
	}
	if sung, err := tx.Sung(ctx, d.VersionID, stored); err != nil {
		return err
	} else if sung {
		return r.otherSang(ctx, tx, d, stored)
	}
	problem := fmt.Sprintf("canary %s of its group cannot be proven: it does not say that it holds the version, and nobody looks there", stored.Label)
	n, err := tx.PassMute(ctx, d.VersionID, stored, problem, MuteAdvice(stored))
	if err != nil || n == 0 {
		return err
	}
	return tx.Event(ctx, *event(d, "canary.mute", fmt.Sprintf("%s was handed version %d and cannot be proven; %d of group %s wait until what is there ends soon", stored.Label, d.VersionID, n, stored.Group)))
}

// otherSang frees what a mute canary would hold, since another was seen.
func (r *Room) otherSang(ctx context.Context, tx *store.Tx, d *certfleet.Delivery, stored *certfleet.StoredTarget) error {
	n, err := tx.FreeHeld(ctx, d.VersionID, stored)
	if err != nil || n == 0 {
		return err
	}
	return tx.Event(ctx, *event(d, "canary.passed", fmt.Sprintf("%s cannot be proven, but another canary was; %d more of group %s follow", stored.Label, n, stored.Group)))
}

// MuteAdvice is what to do about a canary that nobody can prove, as one sentence.
func MuteAdvice(stored *certfleet.StoredTarget) string {
	advice := "give target " + stored.Label + " an address to look at with certfleet targets set " + stored.Label + " --probe HOST:PORT"
	if stored.Type == "exec" {
		advice += ", or have its program answer applied"
	}
	return advice
}

// passOver tells of those that go out without having seen their canary.
func passOver(ctx context.Context, tx *store.Tx, list []*certfleet.Delivery, stored *certfleet.StoredTarget) error {
	for _, d := range list {
		if !d.Held {
			continue
		}
		d.Held, d.Problem, d.Advice = false, "", ""
		had, err := tx.HandedBefore(ctx, d)
		if err != nil {
			return err
		}
		why := "what is there ends soon"
		if !had {
			why = "nothing is there yet"
		}
		e := event(d, "canary.passed_over", fmt.Sprintf("version %d goes to %s although the canary of group %s was not seen serving it: %s", d.VersionID, stored.Label, stored.Group, why))
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
