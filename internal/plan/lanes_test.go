package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

// crowd are n candidates of one lane and tenant.
func crowd(from int64, n int, lane certfleet.Lane, tenant string) []Candidate {
	out := make([]Candidate, n)
	for i := range out {
		out[i] = Candidate{ID: from + int64(i), Lane: lane, Tenant: tenant, Due: t0.Add(time.Duration(i) * time.Second)}
	}
	return out
}

// rounds picks again and again from a crowd that does not shrink, and counts by key.
func rounds(n, room int, crowd []Candidate, key func(Candidate) string) map[string]int {
	got, turns := map[string]int{}, Turns{}
	for range n {
		var picked []Candidate
		picked, turns = turns.Pick(crowd, room)
		for _, c := range picked {
			got[key(c)]++
		}
	}
	return got
}

func byLane(c Candidate) string   { return c.Lane.String() }
func byTenant(c Candidate) string { return c.Tenant }

func TestABackfillDoesNotStarveRenewals(t *testing.T) {
	all := append(crowd(1, 100_000, certfleet.LaneBackfill, "mover"), crowd(200_000, 40, certfleet.LaneRoutine, "old")...)
	picked, _ := Turns{}.Pick(all, 50)
	routine := 0
	for _, c := range picked {
		if c.Lane == certfleet.LaneRoutine {
			routine++
		}
	}
	if len(picked) != 50 || routine < 40 {
		t.Errorf("%d of 40 renewals among the first %d", routine, len(picked))
	}
}

func TestRenewalsDoNotStarveOneNewCustomer(t *testing.T) {
	for _, lane := range []certfleet.Lane{certfleet.LaneRoutine, certfleet.LaneNew, certfleet.LaneBackfill} {
		all := append(crowd(1, 100_000, certfleet.LaneRoutine, "giant"), Candidate{ID: 7_000_000, Lane: lane, Tenant: "newcomer", Due: t0.Add(day)})
		picked, _ := Turns{}.Pick(all, 10)
		found := false
		for _, c := range picked {
			found = found || c.ID == 7_000_000
		}
		if !found {
			t.Errorf("in lane %s the newcomer is not among the first 10", lane)
		}
	}
}

func TestEveryLaneGetsItsShare(t *testing.T) {
	var all []Candidate
	for l := range share {
		all = append(all, crowd(int64(l)*1000, 300, l, "")...)
	}
	got := rounds(113, 1, all, byLane) // 113 is the sum of the shares
	for l, want := range share {
		if n := got[l.String()]; n < int(want)-1 || n > int(want)+1 {
			t.Errorf("%s got %d of 113 turns, want %d", l, n, want)
		}
	}
}

func TestSomethingUrgentOvertakesAtOnce(t *testing.T) {
	turns, flood := Turns{}, crowd(1, 500, certfleet.LaneBackfill, "")
	for range 1000 { // a long time in which only the backfill waits
		_, turns = turns.Pick(flood, 1)
	}
	picked, _ := turns.Pick(append(flood, Candidate{ID: 99_999, Lane: certfleet.LaneEmergency}), 1)
	if len(picked) != 1 || picked[0].ID != 99_999 {
		t.Errorf("first goes %+v", picked)
	}
}

func TestAnIdleLaneSavesNothingUp(t *testing.T) {
	turns, routine := Turns{}, crowd(1, 100, certfleet.LaneRoutine, "")
	for range 10_000 {
		_, turns = turns.Pick(routine, 1)
	}
	both := append(crowd(1000, 5000, certfleet.LaneBackfill, ""), routine...)
	picked, _ := turns.Pick(both, 90)
	if n := len(picked) - countLane(picked, certfleet.LaneRoutine); n > 12 {
		t.Errorf("after a rest the backfill takes %d of 90 turns, want about 10", n)
	}
}

func countLane(list []Candidate, l certfleet.Lane) (n int) {
	for _, c := range list {
		if c.Lane == l {
			n++
		}
	}
	return n
}

func TestTenantsOfALaneTakeTurns(t *testing.T) {
	all := append(crowd(1, 10_000, certfleet.LaneNew, "a"), crowd(20_000, 50, certfleet.LaneNew, "b")...)
	all = append(all, crowd(30_000, 50, certfleet.LaneNew, "")...)
	got := rounds(100, 3, all, byTenant)
	for _, tenant := range []string{"a", "b", ""} {
		if got[tenant] != 100 {
			t.Errorf("%q got %d of 300 turns", tenant, got[tenant])
		}
	}
}

func TestWhoCostsMoreComesLessOften(t *testing.T) {
	dear := crowd(1, 100, certfleet.LaneNew, "dear")
	for i := range dear {
		dear[i].Cost = 5
	}
	got := rounds(100, 6, append(dear, crowd(1000, 100, certfleet.LaneNew, "cheap")...), byTenant)
	if ratio := float64(got["cheap"]) / float64(got["dear"]); ratio < 4 || ratio > 6 {
		t.Errorf("cheap %d, dear %d: costs are not shared evenly", got["cheap"], got["dear"])
	}
}

func TestPickTakesTheLongestDueFirstAndNobodyTwice(t *testing.T) {
	all := crowd(1, 20, certfleet.LaneRoutine, "x")
	all[13].Due = t0.Add(-time.Hour)
	picked, _ := Turns{}.Pick(all, 100)
	seen := map[int64]bool{}
	for _, c := range picked {
		if seen[c.ID] {
			t.Errorf("%d twice", c.ID)
		}
		seen[c.ID] = true
	}
	if len(picked) != 20 || picked[0].ID != all[13].ID {
		t.Errorf("%d picked, first %d", len(picked), picked[0].ID)
	}
}

func TestSomethingThatCostsMoreThanTheRoomStillGoes(t *testing.T) {
	all := append(crowd(1, 10, certfleet.LaneNew, "a"), Candidate{ID: 500, Lane: certfleet.LaneNew, Tenant: "b", Cost: 8})
	turns, went := Turns{}, false
	for range 20 {
		var picked []Candidate
		picked, turns = turns.Pick(all, 2)
		for _, c := range picked {
			went = went || c.ID == 500
		}
	}
	if !went {
		t.Error("a candidate of cost 8 never went in rooms of 2")
	}
}

func BenchmarkPickFromAHundredThousand(b *testing.B) {
	var all []Candidate
	for i := range 1000 {
		all = append(all, crowd(int64(i)*100, 100, certfleet.LaneRoutine, fmt.Sprint(i))...)
	}
	for b.Loop() {
		Turns{}.Pick(all, 300)
	}
}
