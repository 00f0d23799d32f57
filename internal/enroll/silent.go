package enroll

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// Silent tells people, once, of an agent that said nothing for
// certfleet.AgentSilence. One that was heard meanwhile has its time again.
func (r *Room) Silent(ctx context.Context, id int64, now time.Time) error {
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		a, err := tx.Agent(ctx, id)
		if err != nil || a.QuietAt.IsZero() || a.QuietAt.After(now) {
			return err
		}
		if until := a.HeardAt().Add(certfleet.AgentSilence); until.After(now) {
			a.QuietAt = until
			return tx.SaveAgent(ctx, a)
		}
		a.QuietAt = time.Time{}
		if err := tx.SaveAgent(ctx, a); err != nil {
			return err
		}
		e := certfleet.Event{Kind: "agent.silent", Tenant: a.Tenant, Msg: silence(a)}
		if t, err := tx.TargetByLabel(ctx, a.Tenant, a.Target); err == nil {
			e.TargetID = t.ID
		} else if certfleet.KindOf(err) != certfleet.NotFound {
			return err
		}
		return tx.Event(ctx, e)
	})
}

func silence(a *certfleet.Agent) string {
	if a.ReportedAt.IsZero() {
		return fmt.Sprintf("agent %s joined at %s and never reported; start certfleet-agent run on its host", a.Label, a.EnrolledAt.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("agent %s has not reported since %s; look whether certfleet-agent runs there and reaches this manager", a.Label, a.ReportedAt.UTC().Format(time.RFC3339))
}
