package issue

import (
	"context"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/preflight"
	"github.com/certfleet/certfleet/internal/store"
)

// A certificate is parked when its orders failed so often, over so long, and the
// last time because a name had left us. Then only DNS is watched.
const (
	parkTries  = 4
	parkAfter  = 24 * time.Hour
	parkMemory = 50 // orders that are looked back on
	watchLeast = 6 * time.Hour
	watchMost  = 24 * time.Hour
)

// parks decides by the times of failures in a row, the newest first.
func parks(failed []time.Time) bool {
	return len(failed) >= parkTries && failed[0].Sub(failed[len(failed)-1]) >= parkAfter
}

// watchAt says when to look at a parked name again: every six hours at first,
// daily after a while.
func watchAt(now, since time.Time, luck float64) time.Time {
	wait := min(max(now.Sub(since)/4, watchLeast), watchMost)
	return now.Add(wait - time.Duration(luck*float64(wait)/10))
}

// failures are the times of those orders in a row that failed because a name or
// the answer to its challenge could not be reached. Trouble of the CA, or of
// ours, neither counts nor breaks the row.
func (r *Room) failures(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate) ([]time.Time, error) {
	out := []time.Time{tx.Now()}
	list, _, err := tx.Orders(ctx, store.OrderFilter{Tenant: cert.Tenant, CertificateID: cert.ID, Limit: parkMemory})
	for _, o := range list {
		if o.State == certfleet.OrderIssued {
			break
		}
		if o.State == certfleet.OrderFailed && Classify(o.ProblemType, o.Problem, nil).Reachability() {
			out = append(out, o.FinishedAt)
		}
	}
	return out, err
}

// park stops ordering for names that left us, and reports whether it did.
func (r *Room) park(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, f failure) (bool, error) {
	if cert.State != certfleet.Active || !f.looked || !f.class.Left() {
		return false, nil
	}
	if failed, err := r.failures(ctx, tx, cert); err != nil || !parks(failed) {
		return false, err
	}
	cert.State, cert.Lane = certfleet.Parked, certfleet.LaneNew
	cert.DueAt, cert.DueReason = watchAt(tx.Now(), tx.Now(), r.luck()), "a look whether its names point here again"
	for _, n := range cert.Names {
		if slices.ContainsFunc(f.names, func(m certfleet.Name) bool { return m.Base() == n.Base() }) {
			if err := r.mark(ctx, tx, cert.Tenant, n, f.msg); err != nil {
				return false, err
			}
		}
	}
	e := certfleet.Event{Kind: "certificate.parked", Tenant: cert.Tenant, CertificateID: cert.ID, Msg: "parked: " + f.msg, Data: map[string]string{"class": string(f.class)}}
	return true, tx.Event(ctx, e)
}

// mark says on a name why it is parked, or with no reason that it is not.
func (r *Room) mark(ctx context.Context, tx *store.Tx, tenant int64, n certfleet.Name, reason string) error {
	d, err := tx.Domain(ctx, tenant, n)
	if certfleet.KindOf(err) == certfleet.NotFound || err == nil && d.ParkedReason == reason {
		return nil
	}
	if err != nil {
		return err
	}
	if d.ParkedReason = reason; reason == "" {
		d.ParkedAt = time.Time{}
	} else if d.ParkedAt.IsZero() {
		d.ParkedAt = tx.Now()
	}
	return tx.SaveDomain(ctx, d)
}

// Watch looks whether the names of a parked certificate are with us again, by
// DNS and the challenge path alone, and makes it due when they are. Names that
// nobody can look at are tried with an order instead.
func (r *Room) Watch(ctx context.Context, id int64, now time.Time) error {
	cert, err := r.DB.Certificate(ctx, id)
	if err != nil || cert.State != certfleet.Parked || cert.DueAt.IsZero() || cert.DueAt.After(now) {
		return err
	}
	policy, err := r.DB.Policy(ctx, cert.PolicyID)
	if err != nil {
		return err
	}
	err = r.claim(ctx, now, func(tx *store.Tx, until time.Time) error {
		cert.DueAt = until
		return tx.SaveCertificate(ctx, cert)
	})
	if err != nil {
		return err
	}
	away := failure{}
	if a, _, err := r.choose(ctx, cert, policy); err == nil {
		first := *cert
		first.Failures = 0 // as its next order will find it
		reports, err := r.lookAt(ctx, &first, "", a, policy, cert.Names)
		if err != nil {
			return err
		}
		away, _ = foreseen(reports, a.Label, awayStill)
	}
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if away.msg != "" {
			return r.stayParked(ctx, tx, cert, away)
		}
		return r.rearm(ctx, tx, cert)
	})
}

// awayStill is why a name cannot be had yet: it is not ours, it is certain to
// fail, or DNS says nothing. What a firewall may hide from us is no reason.
func awayStill(rep preflight.Report, authority string) (preflight.Finding, bool) {
	for _, f := range rep.Findings {
		if (f.Authority == "" || f.Authority == authority) && (f.Certain || f.Class.Left() || f.Class == preflight.DNS) {
			return f, true
		}
	}
	return preflight.Finding{}, false
}

func (r *Room) stayParked(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, away failure) error {
	cert.DueAt = watchAt(tx.Now(), cert.FailedAt, r.luck())
	cert.Problem, cert.Advice = away.msg, away.advice
	return tx.SaveCertificate(ctx, cert)
}

func (r *Room) rearm(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate) error {
	cert.State, cert.Failures, cert.Lane = certfleet.Active, 0, certfleet.LaneNew
	cert.DueAt, cert.DueReason = tx.Now(), "its names point here again"
	for _, n := range cert.Names {
		if err := r.mark(ctx, tx, cert.Tenant, n, ""); err != nil {
			return err
		}
	}
	if err := tx.SaveCertificate(ctx, cert); err != nil {
		return err
	}
	tx.Wake()
	return tx.Event(ctx, certfleet.Event{Kind: "certificate.rearmed", Tenant: cert.Tenant, CertificateID: cert.ID, Msg: "its names point here again: an order opens"})
}
