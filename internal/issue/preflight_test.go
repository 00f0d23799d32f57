package issue_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/preflight"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// sky is what a look before an order sees, by name.
type sky struct {
	mu    sync.Mutex
	seen  map[string]preflight.Finding // guarded by mu
	looks int                          // guarded by mu
	asked []issue.Ask                  // the last time, guarded by mu
}

func (s *sky) show(name string, f preflight.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]preflight.Finding{}
	}
	if s.seen[name] = f; f.Class == "" {
		delete(s.seen, name)
	}
}

func (s *sky) look(_ context.Context, _ *certfleet.Authority, _ *certfleet.Policy, asks []issue.Ask) []preflight.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	s.asked = asks
	out := make([]preflight.Report, len(asks))
	for i, a := range asks {
		out[i] = preflight.Report{Name: a.Name, Challenge: a.Challenge}
		if f, ok := s.seen[a.Name.String()]; ok {
			out[i].Findings = []preflight.Finding{f}
		}
	}
	return out
}

func gone(name string) preflight.Finding {
	return preflight.Finding{Class: preflight.Gone, Seen: name + " does not exist (NXDOMAIN)", Advice: preflight.Gone.Advice(), Certain: true}
}

// end opens an order at once and walks it to its end.
func (h *house) end(r *issue.Room, c *certfleet.Certificate) (*certfleet.Order, *certfleet.Certificate) {
	h.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		now, err := tx.Certificate(ctx, c.ID)
		if err == nil && now.State == certfleet.Active {
			now.DueAt = tx.Now().Add(-time.Millisecond)
			err = tx.SaveCertificate(ctx, now)
		}
		return err
	})
	o := h.finish(r, h.open(r, c).ID)
	return o, h.certificate(c.ID)
}

func TestNoOrderGoesOutThatMustFail(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, s := h.room(nil), &sky{}
	r.Preflight = s.look
	s.show("gone.example", gone("gone.example"))
	s.show("pinned.example", preflight.Finding{Class: preflight.Forbidden, Authority: "pebble", Seen: "no CA may", Advice: "allow it", Certain: true})
	s.show("backup.example", preflight.Finding{Class: preflight.Forbidden, Authority: "other", Seen: "no other CA may", Advice: "allow it", Certain: true})
	s.show("hidden.example", preflight.Finding{Class: preflight.PortClosed, Seen: "shut from here", Advice: "open it"})
	for _, c := range []struct {
		names []string
		state certfleet.OrderState
		typ   string
		says  string
	}{
		{[]string{"gone.example"}, certfleet.OrderFailed, "gone", "gone.example: gone.example does not exist"},
		{[]string{"well.example", "pinned.example", "gone.example"}, certfleet.OrderFailed, "gone", "gone.example does not exist (NXDOMAIN); and 1 more names"},
		{[]string{"pinned.example"}, certfleet.OrderFailed, "caa", "no CA may"},
		{[]string{"backup.example"}, certfleet.OrderIssued, "", ""},
		{[]string{"hidden.example"}, certfleet.OrderIssued, "", ""},
	} {
		before := len(h.wire.orders())
		o, cert := h.end(r, h.want("for "+strings.Join(c.names, " "), c.names...))
		sent := len(h.wire.orders()) - before
		if o.State != c.state || o.ProblemType != c.typ || !strings.Contains(o.Problem, c.says) || (c.state == certfleet.OrderFailed) != (sent == 0) {
			t.Errorf("%v: %s, %s, %q, %d orders went out", c.names, o.State, o.ProblemType, o.Problem, sent)
		}
		if c.state == certfleet.OrderFailed && (cert.Failures != 1 || cert.Problem != o.Problem || cert.Advice == "" || time.Until(cert.DueAt) < 30*time.Second || o.PlacingAt.Unix() > 0) {
			t.Errorf("%v: certificate says %q, %q, due %s after %d failures", c.names, cert.Problem, cert.Advice, cert.DueAt, cert.Failures)
		}
	}
}

func TestWhatMayFailIsSaidWhileTheOrderIsOpen(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, s := h.room(nil), &sky{}
	r.Preflight = s.look
	s.show("hidden.example", preflight.Finding{Class: preflight.PortClosed, Seen: "shut from here", Advice: "open it"})
	o := h.placed(r, h.want("hidden.example"))
	if o.State != certfleet.OrderOpen || o.Problem != "seen before the order: hidden.example: shut from here" || o.Advice != "open it" {
		t.Errorf("order is %s, %q, %q", o.State, o.Problem, o.Advice)
	}
	if o = h.finish(r, o.ID); o.State != certfleet.OrderIssued || o.Problem != "" {
		t.Errorf("order ended %s, %q", o.State, o.Problem)
	}
}

func TestEachNameIsLookedAtByItsOwnChallenge(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, s := h.room(nil), &sky{}
	r.Preflight = s.look
	h.placed(r, h.want("mixed", "plain.example", "*.wild.example"))
	if len(s.asked) != 2 || s.asked[0].Challenge != certfleet.HTTP01 || s.asked[1].Challenge != certfleet.DNS01 || !s.asked[1].Name.IsWildcard() {
		t.Errorf("asked for %+v", s.asked)
	}
}

// TestALookAfterAFailureSaysWhy has the CA meet nobody, because the name points
// to somebody else.
func TestALookAfterAFailureSaysWhy(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{Resolve: func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.2")} }})
	r, s := h.room(nil), &sky{}
	r.Preflight = s.look
	s.show("left.example", preflight.Finding{Class: preflight.Elsewhere, Seen: "it points to 192.0.2.9", Advice: "point it here"})
	o, cert := h.end(r, h.want("left.example"))
	if o.State != certfleet.OrderFailed || o.ProblemType != "connection" || !strings.Contains(o.Advice, "point it here (seen from here: it points to 192.0.2.9)") || cert.Advice != o.Advice {
		t.Errorf("order %s, %s, %q, %q", o.State, o.ProblemType, o.Problem, o.Advice)
	}
	if e := h.lastEvent("order.failed"); e.Data["class"] != "elsewhere" {
		t.Errorf("the event says %+v", e)
	}
}

func (h *house) lastEvent(kind string) certfleet.Event {
	h.Helper()
	list, err := h.db.EventsAfter(h.Context(), 1, store.EventCursor{}, 1000)
	if err != nil {
		h.Fatal(err)
	}
	var last certfleet.Event
	for _, e := range list {
		if e.Kind == kind {
			last = e
		}
	}
	return last
}
