package abreast

import (
	"slices"
	"sync"
	"testing"
)

func TestEachPieceIsDoneOnceInOrderOfItsLane(t *testing.T) {
	for _, lanes := range []int{0, 1, 3, 50} {
		const n = 40
		var mu sync.Mutex
		seen := map[int][]int{}
		Do(n, lanes, func(lane, i int) {
			mu.Lock()
			defer mu.Unlock()
			seen[lane] = append(seen[lane], i)
		})
		all := []int{}
		for lane, list := range seen {
			if !slices.IsSorted(list) {
				t.Errorf("%d lanes: lane %d did %v", lanes, lane, list)
			}
			all = append(all, list...)
		}
		slices.Sort(all)
		if len(all) != n || len(slices.Compact(all)) != n {
			t.Errorf("%d lanes: %d pieces were done: %v", lanes, len(all), all)
		}
	}
}

func TestAPanicIsTheCallers(t *testing.T) {
	done := make([]bool, 10)
	func() {
		defer func() {
			if p := recover(); p != "broken" {
				t.Errorf("recovered %v", p)
			}
		}()
		Do(len(done), 2, func(_, i int) {
			if i == 3 {
				panic("broken")
			}
			done[i] = true
		})
	}()
	for i := 0; i < len(done); i += 2 {
		if !done[i] {
			t.Errorf("piece %d of the other lane was not done", i)
		}
	}
}

func TestFewPiecesTakeOneLane(t *testing.T) {
	if n := Lanes(7, 8); n != 1 {
		t.Errorf("7 pieces take %d lanes", n)
	}
	if n := Lanes(1, 0); n != 1 {
		t.Errorf("one piece takes %d lanes", n)
	}
	if n := Lanes(100_000, 8); n < 1 || n > most {
		t.Errorf("many pieces take %d lanes", n)
	}
}
