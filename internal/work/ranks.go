package work

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/riverqueue/river"
)

// due is what is due of a kind, most urgent first, and the lane of each, if the
// kind says so.
func (k Kind) due(ctx context.Context, limit int) ([]int64, map[int64]certfleet.Lane, error) {
	if k.Lanes == nil {
		ids, err := k.Due(ctx, time.Now(), limit)
		return ids, nil, err
	}
	list, err := k.Lanes(ctx, time.Now(), limit)
	ids, lanes := make([]int64, len(list)), make(map[int64]certfleet.Lane, len(list))
	for i, r := range list {
		ids[i], lanes[r.ID] = r.ID, r.Lane
	}
	return ids, lanes, err
}

// ranked has River hand out emergencies first, then what expires, then who waits
// and what overtakes. It has four priorities and takes what is of one as it was
// queued: with one for all that overtakes, what overtakes in a long queue would
// overtake emergencies too.
func ranked(list []river.InsertManyParams, lanes map[int64]certfleet.Lane) []river.InsertManyParams {
	for i, p := range list {
		if lane, ok := lanes[p.Args.(job).ID]; ok {
			list[i].InsertOpts = &river.InsertOpts{Priority: priority(lane, p.InsertOpts.Priority)}
		}
	}
	return list
}

func priority(lane certfleet.Lane, chosen int) int {
	switch {
	case lane <= certfleet.LaneEmergency:
		return 1
	case lane <= certfleet.LaneExpiring:
		return 2
	case lane <= certfleet.LaneWaiting:
		return 3
	}
	return chosen + 2
}
