package enroll

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// mostMissing bounds how many deliveries one whole report makes due again.
const mostMissing = 500

// Report stores what an agent says of itself, and brings the deliveries to its
// target to where they are by that.
func (r *Room) Report(ctx context.Context, a *certfleet.Agent, w api.AgentReport, now time.Time) (api.AgentOrders, error) {
	orders := api.AgentOrders{Clock: now, Rejoin: now.After(a.NotAfter.Add(-r.life() / 2)), Whole: !w.Whole && w.Round != a.Round}
	target, err := r.DB.TargetByLabel(ctx, a.Tenant, a.Target)
	if certfleet.KindOf(err) == certfleet.NotFound {
		target = nil // it may be made later
	} else if err != nil {
		return orders, err
	}
	orders.Pull = target != nil && target.Pulled()
	err = r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		return report{tx: tx, a: a, target: target, w: w, now: now}.store(ctx)
	})
	return orders, err
}

// report is one report in its transaction.
type report struct {
	tx     *store.Tx
	a      *certfleet.Agent
	target *certfleet.StoredTarget
	w      api.AgentReport
	now    time.Time
}

func (r report) store(ctx context.Context) error {
	for _, l := range r.w.Lineages {
		row := certfleet.AgentLineage{AgentID: r.a.ID, Certificate: l.Certificate, Fingerprint: l.Fingerprint, NotAfter: l.NotAfter, Served: l.Served, Problem: l.Problem, Advice: l.Advice, Round: r.w.Round}
		if err := r.tx.PutAgentLineage(ctx, row); err != nil {
			return err
		}
		if err := r.bring(ctx, l); err != nil {
			return err
		}
	}
	if r.w.Whole {
		if err := r.whole(ctx); err != nil {
			return err
		}
	}
	return r.self(ctx)
}

// self writes what the report says of the agent. What got worse is an event.
func (r report) self(ctx context.Context) error {
	a, was := r.a, *r.a
	a.ReportedAt, a.QuietAt, a.Release = r.now, r.now.Add(certfleet.AgentSilence), r.w.Release
	if a.SeenAt.Before(r.now) {
		a.SeenAt = r.now
	}
	if r.w.Whole {
		a.Round = r.w.Round
	}
	a.Skew = r.w.Clock.Sub(r.now)
	a.Updaters = nil
	for _, u := range r.w.Updaters {
		a.Updaters = append(a.Updaters, certfleet.UpdaterNote(u))
	}
	if err := r.tx.SaveAgent(ctx, a); err != nil {
		return err
	}
	if was.QuietAt.IsZero() {
		if err := r.event(ctx, "agent.heard", fmt.Sprintf("agent %s reports again", a.Label)); err != nil {
			return err
		}
	}
	if a.Skew.Abs() > certfleet.MaxSkew && was.Skew.Abs() <= certfleet.MaxSkew {
		if err := r.event(ctx, "agent.clock_off", fmt.Sprintf("the clock of agent %s is off by %s", a.Label, a.Skew.Round(time.Second))); err != nil {
			return err
		}
	}
	return r.updaters(ctx, was.Updaters)
}

func (r report) updaters(ctx context.Context, before []certfleet.UpdaterNote) error {
	failed := map[string]bool{}
	for _, u := range before {
		failed[u.Name] = !u.OK
	}
	for _, u := range r.a.Updaters {
		kind, msg := "", ""
		switch {
		case !u.OK && !failed[u.Name]:
			kind, msg = "agent.updater_failed", fmt.Sprintf("updater %s of agent %s: %s", u.Name, r.a.Label, u.Problem)
		case u.OK && failed[u.Name]:
			kind, msg = "agent.updater_recovered", fmt.Sprintf("updater %s of agent %s works again", u.Name, r.a.Label)
		default:
			continue
		}
		if err := r.event(ctx, kind, msg); err != nil {
			return err
		}
	}
	return nil
}

func (r report) event(ctx context.Context, kind, msg string) error {
	e := certfleet.Event{Kind: kind, Tenant: r.a.Tenant, Msg: msg}
	if r.target != nil {
		e.TargetID = r.target.ID
	}
	return r.tx.Event(ctx, e)
}

// bring takes the delivery of a certificate to where the agent says it is. One
// that a worker holds now is left to that worker.
func (r report) bring(ctx context.Context, l api.AgentLineage) error {
	if r.target == nil {
		return nil
	}
	d, err := r.tx.DeliveryHere(ctx, r.a.Tenant, r.target.ID, l.Certificate)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	if err != nil || d.LeaseUntil.After(r.now) {
		return err
	}
	v, err := r.tx.Version(ctx, d.VersionID)
	if err != nil {
		return err
	}
	kind := moved(d, l, v.Fingerprint, r.target, r.now)
	if kind == "" {
		return nil
	}
	if err := r.tx.SaveDelivery(ctx, d); err != nil {
		return err
	}
	msg := fmt.Sprintf("agent %s: version %d", r.a.Label, d.VersionID)
	if l.Problem != "" {
		msg += ": " + l.Problem
	}
	if err := r.sing(ctx, d); err != nil {
		return err
	}
	return r.tx.Event(ctx, certfleet.Event{Kind: kind, Tenant: d.Tenant, CertificateID: d.CertificateID, VersionID: d.VersionID, TargetID: d.TargetID, Msg: msg})
}

// sing lets the rest of a canary's group have what its agent holds, where the
// manager itself looks at nothing.
func (r report) sing(ctx context.Context, d *certfleet.Delivery) error {
	if !r.target.Canary || looked(r.target) || d.Problem != "" || d.State != certfleet.DeliveryApplied && d.State != certfleet.DeliveryServed {
		return nil
	}
	n, err := r.tx.FreeHeld(ctx, d.VersionID, r.target)
	if err != nil || n == 0 {
		return err
	}
	return r.tx.Event(ctx, certfleet.Event{Kind: "canary.passed", Tenant: d.Tenant, CertificateID: d.CertificateID, VersionID: d.VersionID, TargetID: d.TargetID,
		Msg: fmt.Sprintf("agent %s holds it; %d more of group %s follow", r.a.Label, n, r.target.Group)})
}

// moved changes a delivery by what its agent says, and answers the kind of event
// that this is; empty when nothing changed.
func moved(d *certfleet.Delivery, l api.AgentLineage, want string, t *certfleet.StoredTarget, now time.Time) string {
	was := *d
	holds := l.Fingerprint == want
	if kind := fellBack(d, l, want, t, now); kind != "" {
		return kind
	}
	switch {
	case holds && (d.State == certfleet.DeliveryDue && !again(d, t, l, want) || d.State == certfleet.DeliverySent || d.State == certfleet.DeliveryFailed):
		d.State, d.AppliedAt, d.Attempts, d.DueAt = certfleet.DeliveryApplied, now, 0, time.Time{}
		if d.SentAt.IsZero() {
			d.SentAt = now
		}
		if looked(t) {
			d.DueAt = now
		}
		d.Problem, d.Advice = l.Problem, l.Advice
	case holds && d.State == certfleet.DeliveryApplied && (l.Problem != "" || !looked(t)):
		d.Problem, d.Advice = l.Problem, l.Advice // an updater failed, or works again
	case !holds && l.Problem != "" && (d.State == certfleet.DeliverySent || t.Pulled() && d.State == certfleet.DeliveryDue || d.State == certfleet.DeliveryFailed):
		d.State, d.Problem, d.Advice = certfleet.DeliveryFailed, l.Problem, l.Advice
		if t.Pulled() {
			d.DueAt = time.Time{} // the agent tries again by itself
		} else if d.DueAt.IsZero() {
			d.DueAt = now.Add(time.Minute)
		}
	}
	if holds && l.Served == want && !looked(t) && d.State == certfleet.DeliveryApplied && d.Problem == "" {
		d.State, d.ServedAt = certfleet.DeliveryServed, now
	}
	switch {
	case d.State != was.State:
		return "delivery." + string(d.State)
	case d.Problem != was.Problem:
		return map[bool]string{true: "delivery.recovered", false: "delivery.troubled"}[d.Problem == ""]
	}
	return ""
}

// again reports whether a delivery is about to be pushed once more, so that services
// are told again: that the agent holds it already does not end that.
func again(d *certfleet.Delivery, t *certfleet.StoredTarget, l api.AgentLineage, want string) bool {
	return !d.SentAt.IsZero() && !t.Pulled() && l.Served != want
}

// fellBack notes that a service which was seen serving it serves something else by
// now. What a second look confirms is pushed once more, so that services are told
// again; an agent that fetches has it already.
func fellBack(d *certfleet.Delivery, l api.AgentLineage, want string, t *certfleet.StoredTarget, now time.Time) string {
	if looked(t) || l.Fingerprint != want || l.Served == want || l.Problem == "" || d.ServedAt.IsZero() {
		return ""
	}
	switch {
	case d.State == certfleet.DeliveryServed:
		d.State, d.Attempts = certfleet.DeliveryApplied, 1
	case d.State == certfleet.DeliveryApplied && d.Attempts == 1 && !t.Pulled():
		d.State, d.DueAt, d.Attempts = certfleet.DeliveryDue, now, 2
	default:
		return ""
	}
	d.Problem, d.Advice = l.Problem, l.Advice
	return "delivery.unseen"
}

// looked reports whether the manager itself looks at what the target serves.
func looked(t *certfleet.StoredTarget) bool {
	return len(t.Probe) > 0 && cmp.Or(t.Proof, certfleet.ProofAll) != certfleet.ProofNone
}

// whole ends a whole report: what was not named is gone, and what had arrived and
// is not there is due again.
func (r report) whole(ctx context.Context) error {
	if err := r.tx.ForgetAgentLineages(ctx, r.a.ID, r.w.Round); err != nil || r.target == nil {
		return err
	}
	list, err := r.tx.Missing(ctx, r.a.ID, r.target.ID, mostMissing)
	if err != nil {
		return err
	}
	for i := range list {
		d := &list[i]
		if d.LeaseUntil.After(r.now) || d.AppliedAt.After(r.w.Clock) {
			continue // it is being looked at, or came after the report was written
		}
		d.State, d.DueAt, d.Problem, d.Advice = certfleet.DeliveryDue, r.now, "the agent does not hold it any more", "nothing: it is delivered again"
		if err := r.tx.SaveDelivery(ctx, d); err != nil {
			return err
		}
		e := certfleet.Event{Kind: "delivery.missing", Tenant: d.Tenant, CertificateID: d.CertificateID, VersionID: d.VersionID, TargetID: d.TargetID, Msg: fmt.Sprintf("agent %s does not hold version %d any more; it is delivered again", r.a.Label, d.VersionID)}
		if err := r.tx.Event(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
