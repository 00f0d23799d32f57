package issue_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/issue"
)

// cable is the way to a CA; while it is cut, nobody can connect.
type cable struct {
	to  http.RoundTripper
	cut *bool
}

func (c cable) RoundTrip(r *http.Request) (*http.Response, error) {
	if !*c.cut {
		return c.to.RoundTrip(r)
	}
	if t := httptrace.ContextClientTrace(r.Context()); t != nil && t.GetConn != nil {
		t.GetConn(r.URL.Host)
	}
	return nil, errors.New("connect: connection refused")
}

// over is the room's only way to the CA.
func (f *fleet) over(r *issue.Room, rt http.RoundTripper) {
	r.Client = func(a *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error) {
		return acme.New(acme.Options{DirectoryURL: a.DirectoryURL, HTTP: &http.Client{Transport: rt}, Record: record}), nil
	}
}

func TestAnOrderThatCannotLeaveCostsNothing(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		cut := false
		r, w := f.node("b", func(string) {})
		f.over(r, cable{f.ca.RoundTripper(), &cut})
		f.work = w
		if _, err := r.Directory(f.Context(), f.auth.ID); err != nil {
			t.Fatal(err)
		}
		cut = true
		c := f.want(certfleet.LaneNew, "away.example")[0]
		f.live(6 * time.Hour)
		o, err := f.db.LastOrder(f.Context(), c.ID)
		if err != nil || o.Attempts < 20 || !o.Live() {
			t.Fatalf("order %+v, %v; want one that was tried for hours", o, err)
		}
		if b := f.bucket(f.newOrders()); b.Held != 0 || b.FullAt.After(time.Now()) || !o.PlacingAt.IsZero() {
			t.Errorf("after %d tries that reached nobody the ledger has %+v, and the order says that it left at %s", o.Attempts, b, o.PlacingAt)
		}
		cut = false
		f.live(time.Hour)
		if f.certificate(c.ID).VersionID == 0 {
			t.Errorf("not issued: %+v", f.certificate(c.ID))
		}
		f.unbroken()
	})
}
