package demo

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

// The demo's own clockwork: how often it asks for events, and draws anew.
const (
	listen = 50 * time.Millisecond
	redraw = 200 * time.Millisecond
)

// follow shows what happens until done or until ctx ends, and then says why.
func (d *demo) follow(ctx context.Context, done func() bool) error {
	defer d.screen.release()
	for drawn := (time.Time{}); ; {
		changed, err := d.hear(ctx, d.tell)
		if err != nil {
			return err
		}
		if changed || time.Since(drawn) > redraw {
			d.screen.draw(d.block(time.Now()))
			drawn = time.Now()
		}
		if done() {
			return nil
		}
		if err := sleep(ctx, listen); err != nil {
			return err
		}
	}
}

// hear reads the events since the last time and tells each that changed a track.
func (d *demo) hear(ctx context.Context, tell func(*track)) (changed bool, err error) {
	f := d.fleet
	list, err := f.db.EventsAfter(ctx, certfleet.DefaultTenant, f.cursor, 500)
	if err != nil {
		return false, orCause(ctx, err)
	}
	for _, e := range list {
		f.cursor.Xact, f.cursor.ID = e.Xact, e.ID
		t, ok := f.byID[e.CertificateID]
		if !ok || f.aside(e) {
			continue
		}
		n, err := f.news(ctx, e)
		if err != nil {
			return changed, orCause(ctx, err)
		}
		if t.hear(n) {
			changed = true
			tell(t)
		}
	}
	return changed, nil
}

// news reads what an event speaks of.
func (f *fleet) news(ctx context.Context, e certfleet.Event) (n news, err error) {
	n.Event = e
	switch e.Kind {
	case "version.issued":
		n.version, err = f.versionOf(ctx, e)
	case "order.failed", "certificate.blocked":
		n.certificate, err = f.db.Certificate(ctx, e.CertificateID)
	}
	return n, err
}

// versionOf is the version that an order brought.
func (f *fleet) versionOf(ctx context.Context, e certfleet.Event) (*certfleet.Version, error) {
	if e.VersionID != 0 {
		return f.db.Version(ctx, e.VersionID)
	}
	o, err := f.db.Order(ctx, e.OrderID)
	if err != nil {
		return nil, err
	}
	return f.db.Version(ctx, o.VersionID)
}

// orCause prefers the reason why ctx ended to the error that this led to.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func sleep(ctx context.Context, t time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(t):
		return nil
	}
}
