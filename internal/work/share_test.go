package work

import (
	"slices"
	"testing"
)

func TestNodesReachForDifferentRowsFirst(t *testing.T) {
	const rows = 400
	first := func(owner string) (ids []int64) {
		for id := range int64(rows) {
			if part(owner, id) == 0 {
				ids = append(ids, id)
			}
		}
		return ids
	}
	a, b := first("one/1/1"), first("two/1/1")
	both := 0
	for _, id := range a {
		if slices.Contains(b, id) {
			both++
		}
	}
	if len(a) < rows/8 || len(b) < rows/8 || both > len(a)/2 {
		t.Errorf("one node begins with %d rows, the other with %d, and %d are the same", len(a), len(b), both)
	}
}
