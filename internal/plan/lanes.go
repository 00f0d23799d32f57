package plan

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
)

// Candidate is something that is due and waits for its turn.
type Candidate struct {
	ID     int64
	Lane   certfleet.Lane
	Tenant string // the tenant label; empty is a tenant too
	Due    time.Time
	Cost   int // one if zero
}

func (c Candidate) cost() int { return max(c.Cost, 1) }

// share is how much a lane gets of what can be done while all lanes wait. No
// lane is shut out: what is routine today is near expiry one day.
var share = map[certfleet.Lane]int64{
	certfleet.LaneEmergency: 48,
	certfleet.LaneExpiring:  32,
	certfleet.LaneWaiting:   16,
	certfleet.LaneNew:       8,
	certfleet.LaneRoutine:   8,
	certfleet.LaneBackfill:  1,
}

// stride is divided by a lane's share for what one unit costs it; all shares divide it.
const stride = 48 * 32

// Turns remembers whose turn it is between picks. The zero Turns is a fresh
// start; losing it costs fairness for one round only.
type Turns struct {
	clock   int64 // how far the lanes that waited have come
	passed  map[certfleet.Lane]int64
	tenants map[certfleet.Lane]ring
}

// ring goes round the tenants of a lane.
type ring struct {
	last   string         // whose turn it was
	credit map[string]int // of tenants that wait and are owed something
}

// Pick chooses who goes first, at most room in cost, most urgent lane first, and
// the state to hand to the next Pick. While several lanes wait each gets its
// share, and a lane that was idle goes first and gains nothing by it. Within a lane
// the tenants take turns (deficit round robin), and the one due longest is a
// tenant's first.
func (t Turns) Pick(candidates []Candidate, room int) ([]Candidate, Turns) {
	q := queueUp(candidates)
	next := t.copyFor(q)
	var out []Candidate
	for room > 0 && len(q) > 0 {
		lane := next.nextLane(q)
		c := next.tenants[lane].take(q[lane])
		if c.cost() > room && len(out) > 0 {
			break
		}
		out = append(out, q[lane].pop(c.Tenant))
		room -= c.cost()
		next.pay(lane, c)
		if len(q[lane].order) == 0 {
			delete(q, lane)
		}
	}
	slices.SortStableFunc(out, func(a, b Candidate) int { return cmp.Compare(a.Lane, b.Lane) })
	return out, next
}

// queue is one lane: who waits, by tenant, the first one first.
type queue struct {
	waiting map[string][]Candidate
	order   []string // the tenants, sorted
}

func (q *queue) pop(tenant string) Candidate {
	c := q.waiting[tenant][0]
	if q.waiting[tenant] = q.waiting[tenant][1:]; len(q.waiting[tenant]) == 0 {
		delete(q.waiting, tenant)
		at, _ := slices.BinarySearch(q.order, tenant)
		q.order = slices.Delete(q.order, at, at+1)
	}
	return c
}

func queueUp(candidates []Candidate) map[certfleet.Lane]*queue {
	lanes := map[certfleet.Lane]*queue{}
	for _, c := range candidates {
		l := laneOf(c.Lane)
		if lanes[l] == nil {
			lanes[l] = &queue{waiting: map[string][]Candidate{}}
		}
		lanes[l].waiting[c.Tenant] = append(lanes[l].waiting[c.Tenant], c)
	}
	for _, q := range lanes {
		q.order = slices.Sorted(maps.Keys(q.waiting))
		for _, list := range q.waiting {
			slices.SortStableFunc(list, func(a, b Candidate) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) })
		}
	}
	return lanes
}

// laneOf is the named lane that a number falls into.
func laneOf(l certfleet.Lane) certfleet.Lane {
	for _, named := range []certfleet.Lane{certfleet.LaneEmergency, certfleet.LaneExpiring, certfleet.LaneWaiting, certfleet.LaneNew, certfleet.LaneRoutine} {
		if l <= named {
			return named
		}
	}
	return certfleet.LaneBackfill
}

// copyFor is t for those who wait now: who comes back starts where the others
// are, and credit that nobody waits for is lost.
func (t Turns) copyFor(q map[certfleet.Lane]*queue) Turns {
	next := Turns{clock: t.clock, passed: map[certfleet.Lane]int64{}, tenants: map[certfleet.Lane]ring{}}
	for lane, waits := range q {
		next.passed[lane] = max(t.passed[lane], t.clock)
		r := ring{t.tenants[lane].last, maps.Clone(t.tenants[lane].credit)}
		if r.credit == nil {
			r.credit = map[string]int{}
		}
		maps.DeleteFunc(r.credit, func(tenant string, _ int) bool { return waits.waiting[tenant] == nil })
		next.tenants[lane] = r
	}
	return next
}

// nextLane is the one that has had least for its share; the more urgent of equals.
func (t *Turns) nextLane(q map[certfleet.Lane]*queue) certfleet.Lane {
	lane := slices.MinFunc(slices.Collect(maps.Keys(q)), func(a, b certfleet.Lane) int {
		return cmp.Or(cmp.Compare(t.passed[a], t.passed[b]), cmp.Compare(a, b))
	})
	t.clock = max(t.clock, t.passed[lane])
	return lane
}

func (t *Turns) pay(lane certfleet.Lane, c Candidate) {
	t.passed[lane] += int64(c.cost()) * stride / share[lane]
	r := t.tenants[lane]
	r.credit[c.Tenant] -= c.cost()
	r.last = c.Tenant
	t.tenants[lane] = r
}

// take is whose turn it is: the last tenant while its credit lasts, then
// the next one in the ring, and each gets one unit of credit a round.
func (r ring) take(q *queue) Candidate {
	if list := q.waiting[r.last]; len(list) > 0 && r.credit[r.last] >= list[0].cost() {
		return list[0]
	}
	at, _ := slices.BinarySearch(q.order, r.last+"\x00") // the first one after the last
	for i := at; ; i++ {
		tenant := q.order[i%len(q.order)]
		r.credit[tenant]++
		if first := q.waiting[tenant][0]; r.credit[tenant] >= first.cost() {
			return first
		}
	}
}
