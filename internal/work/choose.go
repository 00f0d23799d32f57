package work

import (
	"time"

	"github.com/riverqueue/river"
)

// counted is how many rows of a kind wait, how many were begun, and how many rest
// after they failed.
type counted struct{ waiting, begun, resting int }

// room is how many more may be queued. What rests takes up none, or some rows that
// always fail would keep all others out; but there is an end to how many do.
func (n counted) room() int {
	if n.resting > 10*perKind {
		return 0
	}
	return perKind - n.waiting
}

func (f *feeder) count(in map[row]held) map[string]counted {
	out := map[string]counted{}
	for r, h := range in {
		n := out[r.kind]
		switch {
		case h.rests:
			n.resting++
		case h.begun && !f.w.atGate(r):
			n.begun++
		default:
			n.waiting++
		}
		out[r.kind] = n
	}
	return out
}

// breath is how long a row rests at least after it failed, however many commits
// want action.
const breath = 2 * time.Second

// choose picks of the due ids of a kind, most urgent first, those to queue: as
// many as there is room for, and beyond that what is more urgent than a row that
// waits already. A row that is due although somebody began it a lease ago is
// nobody's any more, and its job is to go; so is that of a row that rests after it
// failed, when a commit has wanted action since.
func choose(kind string, ids []int64, in map[row]held, room int, woken time.Time) (list []river.InsertManyParams, gone []int64) {
	last := -1
	for i, id := range ids {
		if h, ok := in[row{kind, id}]; ok && !h.begun && !h.rests {
			last = i
		}
	}
	for i, id := range ids {
		h, ok := in[row{kind, id}]
		if ok && !h.stale && !h.again(woken) || len(list) >= room && i > last {
			continue
		}
		if ok {
			gone = append(gone, h.id)
		}
		opts := &river.InsertOpts{Priority: 2}
		if i < last {
			opts.Priority = 1
		}
		list = append(list, river.InsertManyParams{Args: job{kind, id}, InsertOpts: opts})
	}
	return list, gone
}

// again reports whether what rests is to be tried now because of a commit.
func (h held) again(woken time.Time) bool {
	return h.rests && h.tried.Before(woken) && time.Since(h.tried) > breath
}
