package enroll

import (
	"context"
	"crypto"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// kit is the room on a real store, at a moment of its own.
type kit struct {
	testing.TB
	*Room
	now time.Time
}

func newKit(t testing.TB) *kit {
	t.Helper()
	k := &kit{TB: t, now: time.Now().Truncate(time.Millisecond)}
	ca, err := pki.NewCA("enroll", k.now)
	k.must(err)
	k.Room = &Room{DB: storetest.SQLite(t), CA: func() (*pki.CA, error) { return ca, nil }, Manager: "https://manager.test:7443", Log: slog.New(slog.DiscardHandler)}
	return k
}

func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kit) tx(fn func(ctx context.Context, tx *store.Tx) error) {
	k.Helper()
	k.must(k.DB.Tx(k.Context(), k.now, func(tx *store.Tx) error { return fn(k.Context(), tx) }))
}

// invite answers the secret of an invitation.
func (k *kit) invite(label string) string {
	k.Helper()
	_, text, err := k.Invite(k.Context(), certfleet.DefaultTenant, api.NewAgent{Label: label}, k.now)
	k.must(err)
	t, err := api.ParseJoinToken(text)
	k.must(err)
	return t.Secret
}

// key makes a key and a request for it.
func (k *kit) key() (crypto.Signer, string) {
	k.Helper()
	key, err := pki.GenerateKey(certfleet.P256)
	k.must(err)
	req, err := pki.ClientRequest(key, "x")
	k.must(err)
	return key, string(req)
}

func (k *kit) join(label string) *certfleet.Agent {
	k.Helper()
	_, req := k.key()
	_, err := k.Join(k.Context(), api.Join{Secret: k.invite(label), Request: req}, k.now)
	k.must(err)
	return k.agent(label)
}

func (k *kit) agent(label string) *certfleet.Agent {
	k.Helper()
	a, err := k.DB.AgentByLabel(k.Context(), 0, label)
	k.must(err)
	return a
}

// says has an agent report, with its clock right unless the report has one.
func (k *kit) says(label string, w api.AgentReport) api.AgentOrders {
	k.Helper()
	if w.Clock.IsZero() {
		w.Clock = k.now
	}
	o, err := k.Report(k.Context(), k.agent(label), w, k.now)
	k.must(err)
	return o
}

// events are the texts of one kind, oldest first.
func (k *kit) events(kind string) (out []string) {
	k.Helper()
	list, err := k.DB.EventsAfter(k.Context(), certfleet.DefaultTenant, store.EventCursor{}, 1000)
	k.must(err)
	for _, e := range list {
		if e.Kind == kind {
			out = append(out, e.Msg)
		}
	}
	return out
}

// told checks how often an event happened, and that the last holds a text.
func (k *kit) told(kind string, n int, text string) {
	k.Helper()
	got := k.events(kind)
	if len(got) != n || n > 0 && !strings.Contains(got[n-1], text) {
		k.Errorf("events %s: %q; want %d, the last with %q", kind, got, n, text)
	}
}
