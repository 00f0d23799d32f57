package app_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// fleet is a running node with its own CA.
type fleet struct {
	*app.App
	ca  *pebble.CA
	dir string
}

// start boots Pebble and a node that uses it.
func start(t *testing.T, o pebble.Options) *fleet { return startOn(t, o, "") }

// startOn does so on a store of its own choice, empty for a fresh SQLite file.
func startOn(t *testing.T, o pebble.Options, where config.Database) *fleet {
	t.Helper()
	o.HTTPPort, o.TLSPort = porttest.Port(t), porttest.Port(t)
	ca, err := pebble.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	f := &fleet{ca: ca, dir: storetest.Dir(t)}
	c := config.Default()
	c.StateDir, c.Database = f.dir, where
	c.Listen = config.Listen{API: config.Off, HTTP01: addr(o.HTTPPort), TLSALPN01: addr(o.TLSPort)}
	key, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	f.App, err = app.New(t.Context(), c, app.Options{Log: testLog(t), Keeper: key, Solvers: map[string]certfleet.Solver{"test": pebbleDNS{ca}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.App.Close() })
	f.tx(t, func(ctx context.Context, tx *store.Tx) error {
		a := &certfleet.Authority{Label: "pebble", DirectoryURL: ca.DirectoryURL, TrustPEM: string(ca.TrustPEM)}
		if err := tx.AddAuthority(ctx, a); err != nil {
			return err
		}
		if err := tx.AddAccount(ctx, &certfleet.Account{AuthorityID: a.ID, Label: "main", AgreedAt: tx.Now(), Contact: []string{"mailto:tls@certfleet.test"}}); err != nil {
			return err
		}
		return tx.AddPolicy(ctx, &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}}})
	})
	return f
}

type pebbleDNS struct{ ca *pebble.CA }

func (p pebbleDNS) Present(_ context.Context, c certfleet.Challenge) ([]byte, error) {
	p.ca.AddTXT(c.DNSName(), c.DNSValue())
	return []byte("made"), nil
}

func (p pebbleDNS) CleanUp(_ context.Context, c certfleet.Challenge, _ []byte) error {
	p.ca.ClearTXT(c.DNSName())
	return nil
}

func addr(port int) config.Address {
	return config.Address(net.JoinHostPort("127.0.0.1", itoa(port)))
}

func itoa(n int) string {
	var b [8]byte
	i := len(b)
	for ; n > 0; n /= 10 {
		i--
		b[i] = byte('0' + n%10)
	}
	return string(b[i:])
}

func (f *fleet) tx(t testing.TB, fn func(context.Context, *store.Tx) error) {
	t.Helper()
	if err := f.DB.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// want adds a certificate that is due now.
func (f *fleet) want(t testing.TB, policy string, targets []string, names ...string) *certfleet.Certificate {
	t.Helper()
	parsed, err := certfleet.ParseNames(names)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.DB.PolicyByLabel(t.Context(), 0, policy)
	if err != nil {
		t.Fatal(err)
	}
	c := &certfleet.Certificate{Tenant: 1, Label: names[0], Names: parsed, PolicyID: p.ID, Targets: targets, DueAt: time.Now(), Lane: certfleet.LaneNew}
	f.tx(t, func(ctx context.Context, tx *store.Tx) error { return tx.AddCertificate(ctx, c, "operator") })
	return c
}

// run runs the node until the test ends.
func (f *fleet) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.App.Run(ctx) }()
	select {
	case <-f.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// until asks again and again until ok, and says what it saw last.
func until(t testing.TB, what string, ok func() (bool, string)) {
	t.Helper()
	trial.Until(t, what, ok)
}

func (f *fleet) state(t testing.TB, id int64) (*certfleet.Certificate, string) {
	c, err := f.DB.Certificate(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	last, _ := f.DB.LastOrder(t.Context(), id)
	if last == nil {
		return c, "no order; " + c.Problem
	}
	return c, string(last.State) + " " + last.CAStatus + " " + last.Problem + " " + last.Advice
}

func TestOneNameFromWantedToServed(t *testing.T) {
	t.Parallel()
	f := start(t, pebble.Options{NonceReject: 5, AlternateRoots: 1})
	live := filepath.Join(f.dir, "tls")
	edge := startEdge(t, filepath.Join(live, "live"))
	f.tx(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AddTarget(ctx, &certfleet.StoredTarget{Label: "edge", Type: "files", Spec: []byte(`{"dir":` + quote(live) + `,"layout":"certbot"}`), Probe: []string{edge}})
	})
	f.tx(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AddPolicy(ctx, &certfleet.Policy{Label: "alpn", Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}, Challenge: certfleet.TLSALPN01, KeyType: certfleet.P384}})
	})
	var all []*certfleet.Certificate
	all = append(all, f.want(t, "default", []string{"edge"}, "one.example"))
	all = append(all, f.want(t, "default", []string{"edge"}, "a.example", "b.example", "c.example"))
	all = append(all, f.want(t, "default", []string{"edge"}, "*.wild.example", "wild.example"))
	all = append(all, f.want(t, "alpn", []string{"edge"}, "alpn.example"))
	all = append(all, f.want(t, "default", []string{"edge"}, "127.0.0.1"))
	f.run(t)
	for _, c := range all {
		until(t, "issue "+c.Label, func() (bool, string) {
			got, saw := f.state(t, c.ID)
			return got.VersionID != 0, saw
		})
		until(t, "serve "+c.Label, func() (bool, string) {
			list, _, err := f.DB.Deliveries(t.Context(), store.DeliveryFilter{CertificateID: c.ID})
			if err != nil || len(list) != 1 {
				return false, "no delivery"
			}
			return list[0].State == certfleet.DeliveryServed, string(list[0].State) + " " + list[0].Problem
		})
	}
	v, err := f.DB.ChainsOf(t.Context(), 1)
	if err != nil || len(v) != 2 {
		t.Errorf("%d chains are kept, want both: %v", len(v), err)
	}
	until(t, "clean up", func() (bool, string) {
		open, _, err := f.DB.Challenges(t.Context(), store.AuthorizationFilter{Status: "pending"})
		return err == nil && len(open) == 0, "challenges are left"
	})
}

func TestANameThatMustFailSaysWhy(t *testing.T) {
	t.Parallel()
	f := start(t, pebble.Options{Blocked: []string{"blocked.example"}})
	f.tx(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AddPolicy(ctx, &certfleet.Policy{Label: "nobody", Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}, Challenge: certfleet.DNS01, Solver: "missing"}})
	})
	blocked := f.want(t, "default", nil, "blocked.example")
	unsolved := f.want(t, "nobody", nil, "unsolved.example")
	f.run(t)
	for c, word := range map[*certfleet.Certificate]string{blocked: "blocked.example", unsolved: "missing"} {
		until(t, "fail "+c.Label, func() (bool, string) {
			got, saw := f.state(t, c.ID)
			return got.Failures == 1 && got.Advice != "" && strings.Contains(got.Problem, word) && got.DueAt.After(time.Now()), saw
		})
	}
}

func quote(s string) string { return `"` + s + `"` }

// startEdge serves whatever lies in a live folder, by SNI, read anew each time.
func startEdge(t *testing.T, live string) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return pick(live, h.ServerName)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(trial.Patience))
				c.(*tls.Conn).Handshake()
			}()
		}
	}()
	return ln.Addr().String()
}

func pick(live, name string) (*tls.Certificate, error) {
	if name == "" {
		name = "127.0.0.1"
	}
	dirs, err := filepath.Glob(filepath.Join(live, "*"))
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		pair, err := tls.LoadX509KeyPair(filepath.Join(d, "fullchain.pem"), filepath.Join(d, "privkey.pem"))
		if err == nil && pair.Leaf.VerifyHostname(name) == nil {
			return &pair, nil
		}
	}
	return nil, net.ErrClosed
}

// testLog shows what a node said when its test failed.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}
