package web

import (
	"context"
	"time"

	"github.com/certfleet/certfleet/internal/api"
)

// The bounds of what is told of work that waits or failed.
const (
	mostWaiting = 1000
	mostFailed  = 100
)

// waits adds what waits by lane.
func (s *server) waits(ctx context.Context, j *api.Jobs) error {
	lanes, err := s.DB.LaneWaits(ctx, time.Now(), mostWaiting)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		j.Lanes = append(j.Lanes, api.LaneJobs{Lane: l.Lane.String(), N: l.N, Oldest: l.Oldest})
	}
	return nil
}
