package issue

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// The bounds of one look at what is due.
const (
	pageOfLane = 300 // certificates of a lane; beyond, tenants are looked up one by one
	tenants    = 48  // tenants of a long lane
	ofTenant   = 8   // certificates of each of them
	roomsOpen  = 50  // buckets that have tokens again
	guess      = 20  // certificates let in where nobody knows how many tokens there are
	ahead      = 300 // orders that are due and not begun; more are opened when these are done
	pushing    = 32  // certificates near expiry that are let in even so
)

// turns remembers whose turn it is, from one look to the next.
type turns struct {
	mu    sync.Mutex
	plan  plan.Turns                // guarded by mu
	after map[certfleet.Lane]string // the last tenant looked up in a long lane, guarded by mu
	rooms map[string]plan.Turns     // by bucket, guarded by mu
}

// Due are the certificates whose order is opened next: each lane and each tenant
// of it gets its share, those that a limit holds back wait in its room, and no
// more orders are opened than can soon be worked on.
func (r *Room) Due(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	list, room, err := r.candidates(ctx, now, limit)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	r.turns.mu.Lock()
	defer r.turns.mu.Unlock()
	picked, next := r.turns.plan.Pick(list, room)
	r.turns.plan = next
	ids := make([]int64, len(picked))
	for i, c := range picked {
		ids[i] = c.ID
	}
	return ids, nil
}

// candidates are those who may have a turn, and how many can get one.
func (r *Room) candidates(ctx context.Context, now time.Time, limit int) ([]plan.Candidate, int, error) {
	out, err := r.fresh(ctx, now)
	if err != nil {
		return nil, 0, err
	}
	inside, err := r.letIn(ctx, now)
	if out = append(out, inside...); err != nil || len(out) == 0 {
		return nil, 0, err
	}
	n, err := r.DB.OrdersAhead(ctx, now, ahead)
	if err != nil || n < ahead {
		return out, min(limit, ahead-n), err
	}
	urgent := slices.DeleteFunc(out, func(c plan.Candidate) bool { return c.Lane > certfleet.LaneExpiring })
	return urgent, min(limit, pushing), nil
}

// fresh are those that wait for no limit.
func (r *Room) fresh(ctx context.Context, now time.Time) ([]plan.Candidate, error) {
	list, err := r.DB.DueByLane(ctx, now, pageOfLane)
	if err != nil || len(list) < pageOfLane {
		return candidatesOf(list), err
	}
	by := map[certfleet.Lane][]store.Due{}
	for _, d := range list {
		by[d.Lane] = append(by[d.Lane], d)
	}
	var out []plan.Candidate
	for lane, list := range by {
		if list, err = r.widen(ctx, lane, "", now, list, pageOfLane); err != nil {
			return nil, err
		}
		out = append(out, candidatesOf(list)...)
	}
	return out, nil
}

// widen adds a few certificates of each of the next tenants to a page that is
// full, because one tenant may fill it.
func (r *Room) widen(ctx context.Context, lane certfleet.Lane, room string, now time.Time, list []store.Due, page int) ([]store.Due, error) {
	if len(list) < page {
		return list, nil
	}
	more, err := r.DB.DueByShare(ctx, lane, room, r.turns.next(lane), now, tenants, ofTenant)
	if err != nil {
		return nil, err
	}
	r.turns.passed(lane, more)
	seen := map[int64]bool{}
	for _, d := range list {
		seen[d.ID] = true
	}
	for _, d := range more {
		if !seen[d.ID] {
			list = append(list, d)
		}
	}
	return list, nil
}

func candidatesOf(list []store.Due) []plan.Candidate {
	out := make([]plan.Candidate, len(list))
	for i, d := range list {
		out[i] = plan.Candidate{ID: d.ID, Lane: d.Lane, Tenant: d.Share, Due: d.At}
	}
	return out
}

// next is the tenant after whom a long lane is looked up.
func (t *turns) next(lane certfleet.Lane) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.after[lane]
}

// passed notes how far round a long lane was looked up.
func (t *turns) passed(lane certfleet.Lane, list []store.Due) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.after == nil {
		t.after = map[certfleet.Lane]string{}
	}
	if len(list) > 0 {
		t.after[lane] = list[len(list)-1].Share
	}
}

// letIn are those whose limit has tokens again, as many as it has. Among
// themselves they take turns like everybody, so that a lane gets its share of a
// scarce limit too.
func (r *Room) letIn(ctx context.Context, now time.Time) ([]plan.Candidate, error) {
	rooms, err := r.DB.OpenRooms(ctx, now, roomsOpen)
	if err != nil {
		return nil, err
	}
	var out []plan.Candidate
	for _, b := range rooms {
		tokens := guess
		if b.N > 0 {
			tokens = max(1, plan.Left(plan.Bucket{TAT: b.FullAt, Held: b.Held}, limitOf(b), now))
		}
		inside, err := r.inside(ctx, b.Key, now, min(max(tokens, guess), pageOfLane))
		if err != nil {
			return nil, err
		}
		out = append(out, r.turns.share(b.Key, inside, tokens)...)
	}
	return out, nil
}

func (r *Room) inside(ctx context.Context, key string, now time.Time, page int) ([]plan.Candidate, error) {
	var out []plan.Candidate
	for _, lane := range certfleet.Lanes {
		list, err := r.DB.DueInLane(ctx, lane, key, now.Add(forever), page)
		if err == nil {
			list, err = r.widen(ctx, lane, key, now.Add(forever), list, page)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, candidatesOf(list)...)
	}
	return out, nil
}

// forever is beyond any due time: who waits in a room goes by its bucket.
const forever = 100 * 365 * 24 * time.Hour

// share picks whose turn it is in a room.
func (t *turns) share(key string, inside []plan.Candidate, tokens int) []plan.Candidate {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(inside) == 0 {
		return nil
	}
	if t.rooms == nil {
		t.rooms = map[string]plan.Turns{}
	}
	if len(t.rooms) > 10*roomsOpen {
		clear(t.rooms) // it costs fairness for one round only
	}
	picked, next := t.rooms[key].Pick(inside, tokens)
	t.rooms[key] = next
	return picked
}

// Raise puts a certificate with little life left among the expiring.
func (r *Room) Raise(ctx context.Context, id int64, now time.Time) error {
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error { return tx.Raise(ctx, id) })
}
