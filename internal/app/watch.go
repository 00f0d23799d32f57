package app

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

// Watch tells of every event from now on, until stop is closed or ctx ends; what
// happened before stop is told before it returns.
func (a *App) Watch(ctx context.Context, stop <-chan struct{}, said func(certfleet.Event)) error {
	at, err := a.DB.LastEvent(ctx)
	if err != nil {
		return err
	}
	for last := false; ; {
		events, err := a.DB.EventsAfter(ctx, certfleet.DefaultTenant, at, 500)
		if err != nil {
			return err
		}
		for _, e := range events {
			said(e)
			at.Xact, at.ID = e.Xact, e.ID
		}
		if last && len(events) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-stop:
			last = true
		case <-time.After(200 * time.Millisecond):
		}
	}
}
