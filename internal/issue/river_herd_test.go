package issue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

// backlog is what fell due of each lane in a day of downtime.
var backlog = []struct {
	lane certfleet.Lane
	n    int
}{
	{certfleet.LaneEmergency, 40}, {certfleet.LaneExpiring, 200}, {certfleet.LaneWaiting, 40},
	{certfleet.LaneNew, 100}, {certfleet.LaneRoutine, 500}, {certfleet.LaneBackfill, 300},
}

// TestAfterADayOfDowntimeRiverKeepsTheHerdInLane has thousands due at once, most of
// them one tenant's, at a slow CA and with few workers, and then some that are more
// urgent than nearly all.
func TestAfterADayOfDowntimeRiverKeepsTheHerdInLane(t *testing.T) {
	t.Parallel()
	times, share := 1, 8 // in plain go test an eighth of the backlog
	switch {
	case trial.Long():
		times, share = 3, 1
	case trial.Full():
		share = 2
	}
	herd(t, 200*time.Millisecond, func(f *fleet, nodes int) {
		all := 0
		for _, b := range backlog {
			n := max(10, b.n*times/share/10*10)
			f.share(b.lane, "big", n*8/10)
			f.share(b.lane, "mid", n/10)
			f.share(b.lane, "tiny", n/10)
			all += n
		}
		d := &desk{ca: f.ca.RoundTripper()}
		defer f.river(d, nodes)()
		f.comes(d, all/2)
		f.share(certfleet.LaneEmergency, "stolen", 3)
		f.share(certfleet.LaneWaiting, "visitor", 3)
		was := len(d.asked()) // others go on until both are stored, however long that takes
		f.comes(d, all+6)
		j := &judge{fleet: f, came: d.asked(), slack: queuedAhead + nodes*atGates, urgent: nodes * atGates}
		j.nothingTwice(all + 6)
		j.lanes()
		j.tenants()
		few := 4 * hands
		if nodes > 1 { // in real time the machine may be busy
			few = queuedAhead
		}
		j.overtake("stolen", was, few)
		j.overtake("visitor", was, few)
	})
}

// judge looks at the order in which new-order requests came.
type judge struct {
	*fleet
	came   []string
	slack  int // how many may go before somebody more urgent
	urgent int // and before those for whom all others make way
}

func (j *judge) nothingTwice(want int) {
	seen := map[string]bool{}
	for _, name := range j.came {
		if seen[name] {
			j.Errorf("%s was asked for twice", name)
		}
		seen[name] = true
	}
	if len(seen) != want {
		j.Errorf("%d sets were asked for, want %d", len(seen), want)
	}
}

// lanes wants few of less urgent lanes before the last of a lane, of those that were
// due when the nodes came back.
func (j *judge) lanes() {
	for _, b := range backlog {
		before, less := 0, 0
		for _, name := range j.came {
			switch lane := laneNamed(part(name, 0)); {
			case part(name, 1) == "stolen" || part(name, 1) == "visitor":
			case lane > b.lane:
				less++
			case lane == b.lane:
				before = less
			}
		}
		j.Logf("before the last of lane %s %d of less urgent lanes were begun", b.lane, before)
		most := j.slack
		if b.lane <= certfleet.LaneWaiting {
			most = j.urgent
		}
		if before > most {
			j.Errorf("before the last of lane %s %d of less urgent lanes were begun, want at most %d", b.lane, before, most)
		}
	}
}

func laneNamed(word string) certfleet.Lane {
	for _, l := range certfleet.Lanes {
		if l.String() == word {
			return l
		}
	}
	return 0
}

// tenants wants the small ones of a lane to have had their turns while the big one
// had as many, give or take what waits ahead.
func (j *judge) tenants() {
	for _, b := range backlog {
		had := map[string]int{}
		big, tiny := 0, 0
		for _, name := range j.came {
			if part(name, 0) != b.lane.String() {
				continue
			}
			had[part(name, 1)]++
			if part(name, 1) == "tiny" {
				big, tiny = had["big"], had["tiny"]
			}
		}
		if big > tiny+j.slack {
			j.Errorf("in lane %s the big tenant had %d turns before the last of %d of the tiny one", b.lane, big, tiny)
		}
	}
}

// overtake wants those who came after so many orders to be begun soon after.
func (j *judge) overtake(tenant string, was, within int) {
	at := of(j.came, tenant)
	j.Logf("%s: came after %d orders, begun at %v", tenant, was, at)
	if len(at) != 3 || at[2]-was > within {
		j.Errorf("%s came after %d orders and was begun at %v, want within %d", tenant, was, fmt.Sprint(at), within)
	}
}
