package simulate

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// tick is how fine the calendar is: what is due within it is done together. A
// node looks every second, so a simulated one is up to a minute late.
const tick = time.Minute

// batch is how many orders share a commit.
const batch = 300

// live goes from moment to moment until the end.
func (w *world) live(ctx context.Context) error {
	for {
		if err := w.happen(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil || !w.now.Before(w.end) {
			return err
		}
		from := w.now
		if err := w.work(ctx, from.Add(tick)); err != nil {
			return err
		}
		next, err := w.db.NextDue(ctx)
		if err != nil {
			return err
		}
		w.goOn(from.Add(tick), next)
	}
}

// goOn sets the clock to the next moment: not before the tick is over, and to the
// next event or the next due time when nothing is due earlier.
func (w *world) goOn(over, next time.Time) {
	at := w.end
	if len(w.events) > 0 {
		at = w.events[0].at
	}
	if !next.IsZero() && next.Before(at) {
		at = next
	}
	if at.Before(over) {
		at = over
	}
	if w.now.Before(at) {
		w.now = at
	}
}

// happen lets happen what the calendar says.
func (w *world) happen(ctx context.Context) error {
	for len(w.events) > 0 && !w.events[0].at.After(w.now) {
		if err := heap.Pop(&w.events).(event).do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// work does what a node's tick does, until nothing is due or the time is over
// that its orders take.
func (w *world) work(ctx context.Context, until time.Time) error {
	if err := w.raise(ctx); err != nil {
		return err
	}
	if err := w.poll(ctx); err != nil {
		return err
	}
	for w.now.Before(until) {
		n, err := w.step(ctx, until)
		if err != nil {
			return err
		}
		m, err := w.renew(ctx, until)
		if err != nil || max(n, m) < batch {
			return err // what becomes due meanwhile waits for the next tick
		}
	}
	return nil
}

func (w *world) raise(ctx context.Context) error {
	for {
		list, err := w.db.DueRaises(ctx, w.now, 1000)
		if err != nil || len(list) == 0 {
			return err
		}
		err = w.db.Tx(ctx, w.now, func(tx *store.Tx) error {
			for _, d := range list {
				if err := tx.Raise(ctx, d.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// poll asks for windows that have changed, see revoke, once the CA answers.
func (w *world) poll(ctx context.Context) error {
	for !w.back(w.now).After(w.now) {
		list, err := w.db.DuePolls(ctx, w.now, 500)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			start, end, _ := w.cas[w.Limits].Window(list[i].ARIID)
			if err := w.play.Poll(ctx, &list[i], plan.Window{Start: start, End: end}, w.now); err != nil {
				return err
			}
		}
	}
	return nil
}

// step goes on with orders that waited.
func (w *world) step(ctx context.Context, until time.Time) (int, error) {
	list, err := w.db.DueOrders(ctx, w.now, batch)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	ids := make([]int64, len(list))
	for i, o := range list {
		ids[i] = o.CertificateID
	}
	return w.together(ctx, ids, until, func(tx *store.Tx, i int, c *certfleet.Certificate, v *certfleet.Version) error {
		return w.play.Step(ctx, tx, &list[i], c, v)
	})
}

// renew opens the orders whose turn it is.
func (w *world) renew(ctx context.Context, until time.Time) (int, error) {
	ids, err := w.room.Due(ctx, w.now, batch)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return w.together(ctx, ids, until, func(tx *store.Tx, _ int, c *certfleet.Certificate, v *certfleet.Version) error {
		return w.play.Renew(ctx, tx, c, v)
	})
}

// together does one thing with each of some certificates in one commit. Orders
// leave evenly, and what does not fit before until stays due.
func (w *world) together(ctx context.Context, ids []int64, until time.Time, do func(*store.Tx, int, *certfleet.Certificate, *certfleet.Version) error) (n int, err error) {
	return n, w.db.Tx(ctx, w.now, func(tx *store.Tx) error {
		certs, err := tx.CertificatesByID(ctx, ids)
		if err != nil {
			return err
		}
		versions, err := tx.VersionsByID(ctx, held(certs))
		if err != nil {
			return err
		}
		for i, id := range ids {
			if !w.now.Before(until) {
				return nil
			}
			c, sent := certs[id], w.sent
			v := versions[c.VersionID]
			if v == nil {
				v = &certfleet.Version{Tenant: c.Tenant, Origin: "issued", Names: c.Names, Fingerprint: fmt.Sprintf("first %d", c.ID)}
			}
			tx.At(w.now)
			if err := do(tx, i, c, v); err != nil {
				return err
			}
			n++
			w.now = w.now.Add(time.Duration(w.sent-sent) * w.gap)
		}
		return nil
	})
}

func held(certs map[int64]*certfleet.Certificate) []int64 {
	var out []int64
	for _, c := range certs {
		if c.VersionID != 0 {
			out = append(out, c.VersionID)
		}
	}
	return out
}
