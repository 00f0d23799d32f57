package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/pebble"
)

// node is the manager of the demo, running.
type node struct {
	*app.App
	log   *os.File
	end   context.CancelFunc
	ended chan error
}

// openNode opens the manager's store and builds its rooms.
func openNode(ctx context.Context, h *home, ca *pebble.CA) (*node, error) {
	log, err := os.OpenFile(h.path(logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	n := &node{log: log}
	n.App, err = app.New(ctx, h.config, app.Options{Log: slog.New(slog.NewTextHandler(log, nil)), Solvers: map[string]certfleet.Solver{"demo": solver{ca}}})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return n, nil
}

// start runs the manager until stop, and returns when it listens; failed hears
// when it ends by itself.
func (n *node) start(ctx context.Context, failed context.CancelCauseFunc) error {
	running, end := context.WithCancel(context.WithoutCancel(ctx)) // it ends in order, by stop
	n.end, n.ended = end, make(chan error, 1)
	go func() {
		err := n.App.Run(running)
		n.ended <- err
		if err != nil {
			failed(err)
		}
	}()
	select {
	case <-n.Ready():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop lets the steps in flight end and closes the store.
func (n *node) stop() error {
	var err error
	if n.end != nil {
		n.end()
		err = <-n.ended
	}
	return errors.Join(err, n.App.Close(), n.log.Close())
}
