package work

import (
	"slices"
	"testing"
	"time"
)

func TestWhatIsQueuedNext(t *testing.T) {
	now := time.Now()
	waits, begun, stale := held{id: 1}, held{id: 2, begun: true}, held{id: 3, begun: true, stale: true}
	rests := held{id: 4, rests: true, tried: now.Add(-time.Minute)}
	justFailed := held{id: 5, rests: true, tried: now.Add(-time.Second)}
	for _, c := range []struct {
		what  string
		due   []int64
		in    map[int64]held
		room  int
		woken time.Time
		want  []int64
		first []int64 // of these, ahead of what waits
		gone  []int64
	}{
		{"as many as there is room for", []int64{9, 8, 7}, nil, 2, now, []int64{9, 8}, nil, nil},
		{"no room, nothing more urgent", []int64{9, 8}, map[int64]held{9: waits}, 0, now, nil, nil, nil},
		{"no room, but it ranks before what waits", []int64{7, 9, 8}, map[int64]held{9: waits}, 0, now, []int64{7}, []int64{7}, nil},
		{"what is worked on is not queued twice", []int64{7, 8}, map[int64]held{7: begun}, 5, now, []int64{8}, nil, nil},
		{"what nobody works on any more is replaced", []int64{7, 8}, map[int64]held{7: stale}, 1, now, []int64{7}, nil, []int64{3}},
		{"what rests goes on resting", []int64{7, 8}, map[int64]held{7: rests}, 1, now.Add(-time.Hour), []int64{8}, nil, nil},
		{"nothing ranks before what rests", []int64{6, 7}, map[int64]held{7: rests}, 0, time.Time{}, nil, nil, nil},
		{"a commit ends the rest", []int64{7, 8}, map[int64]held{7: rests}, 1, now, []int64{7}, nil, []int64{4}},
		{"but not of what failed just now", []int64{7, 8}, map[int64]held{7: justFailed}, 1, now, []int64{8}, nil, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			in := map[row]held{{"other", 9}: waits}
			for id, h := range c.in {
				in[row{"k", id}] = h
			}
			list, gone := choose("k", c.due, in, c.room, c.woken)
			var got, first []int64
			for _, p := range list {
				id := p.Args.(job).ID
				got = append(got, id)
				if p.InsertOpts.Priority == 1 {
					first = append(first, id)
				}
			}
			if !slices.Equal(got, c.want) || !slices.Equal(first, c.first) || !slices.Equal(gone, c.gone) {
				t.Errorf("queued %v, of which first %v, taken away %v; want %v, %v, %v", got, first, gone, c.want, c.first, c.gone)
			}
		})
	}
}

func TestRestingRowsTakeNoRoom(t *testing.T) {
	for _, c := range []struct {
		n    counted
		want int
	}{{counted{}, perKind}, {counted{waiting: 30, begun: 500}, perKind - 30}, {counted{resting: 400}, perKind}, {counted{resting: 10*perKind + 1}, 0}} {
		if got := c.n.room(); got != c.want {
			t.Errorf("%+v has room for %d, want %d", c.n, got, c.want)
		}
	}
}
