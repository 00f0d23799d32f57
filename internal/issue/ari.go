package issue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// PollARI asks the CA when a version should be renewed (RFC 9773) and moves its
// certificate's due time when the window moved.
func (r *Room) PollARI(ctx context.Context, id int64, now time.Time) error {
	v, err := r.DB.Version(ctx, id)
	if err != nil {
		return err
	}
	if v.ARIPollAt.IsZero() || v.ARIPollAt.After(now) {
		return nil
	}
	if v.ReplacedBy != 0 || v.ARIID == "" || v.AuthorityID == 0 || !v.NotAfter.After(now) {
		v.ARIPollAt = time.Time{}
		return r.DB.Tx(ctx, now, func(tx *store.Tx) error { return tx.SaveVersion(ctx, v) })
	}
	if err := r.claim(ctx, now, func(tx *store.Tx, until time.Time) error { return tx.ClaimPoll(ctx, v, until) }); err != nil {
		return err
	}
	ctx, said := withRecord(ctx)
	w, err := r.askWindow(ctx, v)
	if err != nil {
		return r.noWindow(ctx, v, now, said, err)
	}
	return r.keepWindow(ctx, v, w, now, said)
}

// askAgain is how soon a person may ask once more what the CA was asked.
const askAgain = time.Minute

// AskARI is PollARI for a person who asks before its time. An answer that is not a
// minute old is not asked for again.
func (r *Room) AskARI(ctx context.Context, id int64, now time.Time) error {
	v, err := r.DB.Version(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case v.ARIID == "" || v.AuthorityID == 0:
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("version %d has no renewal information: it was imported, or names no authority key", id), Advice: "ask for one that was issued here"}
	case v.ReplacedBy != 0 || !v.RevokedAt.IsZero() || !v.NotAfter.After(now):
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("version %d was replaced or revoked, or has expired", id), Advice: "ask for the one in use: certfleet why NAME"}
	}
	if !r.asked.due(id, now) {
		return nil
	}
	ctx, said := withRecord(ctx)
	w, asking := r.askWindow(ctx, v)
	if err := r.keep(ctx, said); err != nil {
		return err
	}
	for range 3 {
		if asking != nil {
			err = r.noWindow(ctx, v, now, said, asking)
		} else {
			err = r.keepWindow(ctx, v, w, now, said)
		}
		if !errors.Is(err, store.ErrStale) {
			return err
		}
		// A worker wrote the row meanwhile; the CA is not asked again for that.
		if v, err = r.DB.Version(ctx, id); err != nil {
			return err
		}
	}
	return err
}

// askedLately remembers which versions were asked about by people.
type askedLately struct {
	mu sync.Mutex
	at map[int64]time.Time // by version, guarded by mu
}

// due reports whether a version may be asked about, and notes that it is.
func (l *askedLately) due(id int64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.at[id]) < askAgain {
		return false
	}
	if l.at == nil || len(l.at) > 10_000 {
		l.at = map[int64]time.Time{}
	}
	l.at[id] = now
	return true
}

var errNoARI = errors.New("the CA offers no renewal information")

func (r *Room) askWindow(ctx context.Context, v *certfleet.Version) (acme.Window, error) {
	client, err := r.ClientOf(ctx, v.AuthorityID)
	if err != nil {
		return acme.Window{}, err
	}
	ctx, cancel := context.WithTimeout(acme.WithOrder(ctx, 0, 0, v.AuthorityID), callTime)
	defer cancel()
	dir, err := client.Directory(ctx)
	if err != nil {
		return acme.Window{}, err
	}
	if dir.RenewalInfo == "" {
		return acme.Window{}, errNoARI
	}
	return client.RenewalInfo(ctx, v.ARIID)
}

// noWindow leaves the due time as it is: renewal never hangs on this question.
func (r *Room) noWindow(ctx context.Context, v *certfleet.Version, now time.Time, said *record, cause error) error {
	v.ARIProblem = cause.Error()
	retry := certfleet.RetryOf(cause)
	if p, ok := errors.AsType[*acme.Problem](cause); ok {
		retry = p.RetryAfter
	}
	v.ARIPollAt = plan.PollARI(now, v.NotBefore, v.NotAfter, time.Until(retry))
	if errors.Is(cause, errNoARI) {
		v.ARIPollAt = now.Add(24 * time.Hour)
	}
	list := said.take()
	return r.DB.Tx(context.WithoutCancel(ctx), now, func(tx *store.Tx) error {
		if err := tx.AddExchanges(ctx, list); err != nil {
			return err
		}
		return tx.SaveVersion(ctx, v)
	})
}

func (r *Room) keepWindow(ctx context.Context, v *certfleet.Version, w acme.Window, now time.Time, said *record) error {
	moved := !v.ARIStart.Equal(w.Start) || !v.ARIEnd.Equal(w.End)
	v.ARIURL, v.ARIProblem = w.ExplanationURL, ""
	v.ARIPollAt = plan.PollARI(now, v.NotBefore, v.NotAfter, w.RetryAfter)
	if moved {
		v.ARIStart, v.ARIEnd = w.Start, w.End
		v.ARIAt = drawn(v, now, r.luck())
	}
	list := said.take()
	return r.DB.Tx(context.WithoutCancel(ctx), now, func(tx *store.Tx) error {
		if err := tx.AddExchanges(ctx, list); err != nil {
			return err
		}
		if err := tx.SaveVersion(ctx, v); err != nil || !moved {
			return err
		}
		return r.moveDue(ctx, tx, v, now)
	})
}

// drawn is the instant in a version's window at which it is renewed.
func drawn(v *certfleet.Version, now time.Time, luck float64) time.Time {
	return plan.DrawARI(plan.Usable(plan.Window{Start: v.ARIStart, End: v.ARIEnd}, v.NotBefore, v.NotAfter), now, luck)
}

// moveDue lets the drawn instant decide when the certificate renews.
func (r *Room) moveDue(ctx context.Context, tx *store.Tx, v *certfleet.Version, now time.Time) error {
	next := plan.RenewAt(v.NotBefore, v.NotAfter, v.ARIAt, 0)
	if !next.At.Equal(v.ARIAt) {
		return nil // the window is too close to expiry: our own time stays
	}
	passed := !v.ARIEnd.After(now)
	b, err := tx.MaybeBackup(ctx, v.CertificateID)
	if err != nil {
		return err
	}
	if b != nil && b.VersionID == v.ID {
		if b.DueAt.IsZero() || !passed && !plan.Moves(b.Lane, b.Failures, b.DueAt, next.At) {
			return nil
		}
		_, err := backupDue(ctx, tx, v, next.At, next.Reason, certfleet.LaneRoutine)
		return err
	}
	cert, err := tx.CertificateAlone(ctx, v.CertificateID)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	if err != nil || cert.VersionID != v.ID || cert.State != certfleet.Active || cert.DueAt.IsZero() {
		return err
	}
	if !passed && !plan.Moves(cert.Lane, cert.Failures, cert.DueAt, next.At) {
		return nil
	}
	cert.DueAt, cert.DueReason = next.At, next.Reason
	if passed {
		cert.Lane, cert.DueReason = certfleet.LaneEmergency, "the CA's renewal window has passed: "+v.ARIURL
		tx.Wake()
	}
	if err := tx.SaveCertificate(ctx, cert); err != nil {
		return err
	}
	return tx.Event(ctx, certfleet.Event{Kind: "certificate.window", Tenant: cert.Tenant, CertificateID: cert.ID, VersionID: v.ID, Msg: "renewal is due " + cert.DueAt.Format(time.RFC3339) + ", in " + cert.DueReason})
}
