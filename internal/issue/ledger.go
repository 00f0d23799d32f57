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

// margin is how far the CA's clock may be from ours, and how long a request may
// be under way, for us to count on a renewal window.
const margin = time.Minute

// remembered is how long after issuance a CA surely remembers an exact set of
// names: Boulder looks back 120 days.
const remembered = 100 * 24 * time.Hour

// asking is an order as the CA will see it, if it is placed now.
func (r *Room) asking(ctx context.Context, o *certfleet.Order, cert *certfleet.Certificate, now time.Time) (plan.Asking, error) {
	acct, err := r.DB.Account(ctx, o.AccountID)
	if err != nil {
		return plan.Asking{}, err
	}
	a := plan.Asking{Account: accountOf(acct), Names: o.Names}
	for _, id := range slices.Compact([]int64{o.Replaces, cert.VersionID}) {
		if id == 0 {
			continue
		}
		v, err := r.DB.Version(ctx, id)
		if err != nil {
			return a, err
		}
		exempt(&a, o, v, now)
	}
	return a, nil
}

// exempt notes what a CA does not ask of an order for the sake of a version that
// it replaces or that was issued for the same names.
func exempt(a *plan.Asking, o *certfleet.Order, v *certfleet.Version, now time.Time) {
	w := plan.Window{Start: v.ARIStart, End: v.ARIEnd}
	a.InWindow = a.InWindow || v.ID == o.Replaces && w.Holds(now.Add(-margin)) && w.Holds(now.Add(margin))
	a.SameSet = a.SameSet || v.AuthorityID == o.AuthorityID && v.OrderID != 0 && certfleet.SetKey(v.Names) == certfleet.SetKey(o.Names) && now.Sub(v.NotBefore) < remembered
}

func accountOf(a *certfleet.Account) string { return plan.AccountName(a.URL, a.ID) }

// entry is an order's line in the ledger, as it is opened or changed in one
// transaction.
type entry struct {
	book   book
	asking plan.Asking
	move   bool // another authority may be asked instead
	lost   bool // a request may have gone out, and its answer was lost
	have   []store.Touch
	kept   []store.Touch
	all    map[string]store.Bucket
}

// refusal is the limit that stands against an order for longest.
type refusal struct {
	bucket store.Bucket // the one to wait for
	until  time.Time    // zero waits for a person
	why    string
}

// open holds a token of every bucket that the order touches, or none when one
// refuses. What the order holds already is kept, and what it no longer needs is
// given back.
func (e *entry) open(ctx context.Context, tx *store.Tx) (*refusal, error) {
	met, err := e.weigh(ctx, tx)
	if err != nil {
		return nil, err
	}
	return met, e.save(ctx, tx)
}

// weigh is open without writing anything down.
func (e *entry) weigh(ctx context.Context, tx *store.Tx) (*refusal, error) {
	want := e.book.Touches(e.asking)
	lessons, err := e.lessons(ctx, tx)
	if err != nil {
		return nil, err
	}
	if len(lessons) == 0 && e.asHeld(want) {
		e.kept = e.have
		return nil, nil
	}
	if e.all, err = tx.LockBuckets(ctx, e.keys(want, lessons)); err != nil {
		return nil, err
	}
	e.drop(want, tx.Now())
	next := map[string]store.Bucket{}
	var met *refusal
	for _, t := range want {
		b, no := e.take(t, tx.Now())
		if no != nil {
			met = met.orLater(no)
			continue
		}
		next[b.Key] = b
	}
	met = e.stopped(lessons, met, tx.Now())
	if met == nil {
		for k, b := range next {
			e.all[k] = b
		}
		e.kept = nil
		for _, t := range want {
			e.kept = append(e.kept, touchOf(t))
		}
	}
	return met, nil
}

// asHeld reports whether the order holds what it touches, no more and no less: then
// no bucket changes, and nobody has to wait for one.
func (e *entry) asHeld(want []plan.Touch) bool {
	return !e.lost && slices.EqualFunc(e.have, want, func(h store.Touch, w plan.Touch) bool { return h == touchOf(w) })
}

func (e *entry) keys(want []plan.Touch, lessons []plan.Lesson) []string {
	var out []string
	for _, t := range want {
		out = append(out, t.Key.String())
	}
	for _, t := range e.have {
		out = append(out, t.Key)
	}
	for _, l := range lessons {
		out = append(out, l.Key.String())
	}
	return out
}

// drop settles a request whose answer was lost, and gives back what the order
// holds and does not touch any more.
func (e *entry) drop(want []plan.Touch, now time.Time) {
	e.kept = nil
	for _, t := range e.have {
		b := e.all[t.Key]
		switch {
		case e.lost && t.When == string(plan.Asked):
			e.all[t.Key] = closed(b, t, now, counted)
		case !slices.ContainsFunc(want, func(w plan.Touch) bool { return w.Key.String() == t.Key && (w.Free || !t.Free) }):
			e.all[t.Key] = closed(b, t, now, released)
		default:
			e.kept = append(e.kept, t)
		}
	}
}

// take holds one more token, unless the order holds it already.
func (e *entry) take(t plan.Touch, now time.Time) (store.Bucket, *refusal) {
	key := t.Key.String()
	b := e.all[key]
	b.Key, b.Name, b.N, b.Period, b.Burst = key, string(t.Key.Limit), t.Limit.Count, t.Limit.Period, t.Limit.Burst
	if slices.ContainsFunc(e.kept, func(k store.Touch) bool { return k.Key == key }) {
		return b, nil
	}
	p, ok, at := t.Open(plan.Bucket{TAT: b.FullAt, Held: b.Held}, now)
	if !ok {
		if at.IsZero() {
			at = now.Add(24 * time.Hour) // the bucket never holds as many
		}
		return b, &refusal{b, at, said(b)}
	}
	b.FullAt, b.Held = p.TAT, p.Held
	return b, nil
}

// lessons are what CAs taught that concerns the order.
func (e *entry) lessons(ctx context.Context, tx *store.Tx) ([]plan.Lesson, error) {
	var keys []string
	for _, k := range e.book.Watched(e.asking) {
		keys = append(keys, k.String())
	}
	rows, err := tx.PausesOf(ctx, tx.Now(), keys)
	var out []plan.Lesson
	for _, p := range rows {
		if k, ok := plan.ParseKey(p.Key); ok {
			out = append(out, plan.Lesson{Key: k, Until: p.Until, Detail: p.Reason})
		}
	}
	return out, err
}

// stopped is the refusal that lasts longest, a lesson's or the ledger's own.
func (e *entry) stopped(lessons []plan.Lesson, met *refusal, now time.Time) *refusal {
	for _, l := range lessons {
		if !e.book.Stops(l, e.asking, now) {
			continue
		}
		b := e.all[l.Key.String()]
		b.Name = string(l.Key.Limit)
		met = met.orLater(&refusal{b, l.Until, "the CA said: " + l.Detail})
	}
	return met
}

func (r *refusal) orLater(o *refusal) *refusal {
	if r == nil || !r.until.IsZero() && (o.until.IsZero() || o.until.After(r.until)) {
		return o
	}
	return r
}

// save writes the buckets, and until when those that wait for one do so.
func (e *entry) save(ctx context.Context, tx *store.Tx) error {
	return saveBuckets(ctx, tx, e.all)
}

func saveBuckets(ctx context.Context, tx *store.Tx, all map[string]store.Bucket) error {
	var list []store.Bucket
	for _, b := range all {
		if !b.FreeAt.IsZero() && b.N > 0 {
			if b.FreeAt = freeAt(b, tx.Now()); !b.FreeAt.After(tx.Now()) {
				tx.Wake()
			}
		}
		list = append(list, b)
	}
	return tx.SaveBuckets(ctx, list)
}

// freeAt is when a bucket has a token for somebody.
func freeAt(b store.Bucket, now time.Time) time.Time {
	_, ok, at := plan.Hold(plan.Bucket{TAT: b.FullAt, Held: b.Held}, limitOf(b), now, 1)
	if ok {
		return now
	}
	return at
}

func limitOf(b store.Bucket) plan.Limit {
	return plan.Limit{Name: plan.LimitName(b.Name), Count: b.N, Period: b.Period, Burst: b.Burst}
}

func touchOf(t plan.Touch) store.Touch {
	return store.Touch{Key: t.Key.String(), When: string(t.When), Free: t.Free, N: t.Limit.Count, Period: t.Limit.Period, Burst: t.Limit.Burst}
}

// said is a refusal of our own in words.
func said(b store.Bucket) string {
	k, _ := plan.ParseKey(b.Key)
	what := k.Subject
	if what == "" {
		what = k.Account
	}
	return fmt.Sprintf("%s allows %d %s in %s for %s, and they are used", k.Authority, b.N, b.Name, b.Period, what)
}
