package work

import (
	"hash/fnv"
	"slices"
	"strconv"
)

// groups is into how many parts a node divides what is due.
const groups = 4

// mineFirst puts a part of what is due first, another part on every node, so
// that nodes of one PostgreSQL rarely reach for the same row. Within a part the
// order stays: the most urgent first.
func (w *Work) mineFirst(ids []int64) []int64 {
	if !w.DB.Postgres() || len(ids) < 2 {
		return ids
	}
	slices.SortStableFunc(ids, func(a, b int64) int { return part(w.Owner, a) - part(w.Owner, b) })
	return ids
}

func part(owner string, id int64) int {
	h := fnv.New32a()
	h.Write([]byte(owner + " " + strconv.FormatInt(id, 10)))
	return int(h.Sum32() % groups)
}
