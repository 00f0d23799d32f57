package issue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// admit opens an order in the ledger. When a limit refuses, the certificate waits
// for it instead, and the order must not be added.
func (r *Room) admit(ctx context.Context, tx *store.Tx, e *entry, cert *certfleet.Certificate) (bool, error) {
	no, err := e.open(ctx, tx)
	if err != nil || no == nil {
		return err == nil, err
	}
	if e.move && plan.TooLate(tx.Now(), no.until, cert.UrgentAt, cert.NotAfter) {
		return false, errElsewhere
	}
	return false, wait(ctx, tx, cert, no)
}

// wait puts a certificate into the room of the limit that refused it.
func wait(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, no *refusal) error {
	now := tx.Now()
	if no.until.IsZero() {
		cert.DueAt = now.Add(24 * time.Hour) // it is let in as soon as a person has cleared the limit
		cert.DueReason = fmt.Sprintf("a person is needed (%s), then certfleet limits --clear", no.why)
	} else {
		cert.DueAt = no.until
		cert.DueReason = fmt.Sprintf("it waits for the limit %s: %s", no.bucket.Name, no.why)
	}
	no.bucket.FreeAt = cert.DueAt
	return tx.WaitFor(ctx, cert, no.bucket)
}

// entry prepares an order's line in the ledger.
func (r *Room) entry(ctx context.Context, o *certfleet.Order, cert *certfleet.Certificate, now time.Time) (*entry, error) {
	b, err := r.book(ctx, o.AuthorityID)
	if err != nil {
		return nil, err
	}
	a, err := r.asking(ctx, o, cert, now)
	return &entry{book: b, asking: a}, err
}

// hold keeps with an order what it may cost; most CAs count nothing.
func (e *entry) hold(ctx context.Context, tx *store.Tx, order int64) error {
	if slices.Equal(e.have, e.kept) {
		return nil
	}
	return tx.Hold(ctx, order, e.kept)
}

// charge commits that new-order is about to leave, and what it may cost. A wait
// says that a limit stands against it now.
func (r *Room) charge(ctx context.Context, j *job, replaces bool) (time.Duration, error) {
	now := time.Now()
	e, err := r.entry(ctx, j.order, j.cert, now)
	if err != nil {
		return 0, err
	}
	e.asking.InWindow = e.asking.InWindow && replaces
	e.lost = !j.order.PlacingAt.IsZero()
	before := *j.order
	var no *refusal
	err = r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
		o := j.order
		o.PlacingAt, o.Problem, o.ProblemType, o.Advice = before.PlacingAt, before.Problem, before.ProblemType, before.Advice
		if e.have, err = tx.HeldBy(ctx, o.ID); err != nil {
			return err
		}
		if no, err = e.open(ctx, tx); err != nil {
			return err
		}
		if no != nil {
			o.Problem, o.ProblemType, o.Advice = no.why, "rateLimited", "wait: the limit frees by itself"
		} else {
			o.PlacingAt = tx.Now()
		}
		return e.hold(ctx, tx, o.ID)
	})
	switch {
	case err != nil || no == nil:
		return 0, err
	case no.until.IsZero():
		return time.Hour, nil
	}
	return max(no.until.Sub(now), time.Second), nil
}
