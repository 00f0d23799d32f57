package deliver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/deliver"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/keystore/stored"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// rack is a target and the edge behind it: it holds what was delivered, and
// serves what it held when it was last reloaded.
type rack struct {
	mu       sync.Mutex
	held     map[string]*tls.Certificate // by certificate, guarded by mu
	serving  map[string]*tls.Certificate // by certificate, guarded by mu
	versions map[string]int64            // what is held, guarded by mu
	handed   []int64                     // versions in the order in which they came, guarded by mu
	before   []certfleet.Receipt         // of the last delivery, guarded by mu
	stuck    bool                        // it does not reload, guarded by mu
	mum      bool                        // it does not say that it holds anything, guarded by mu
	calls    int                         // guarded by mu
	again    bool                        // it was told that services are to be told, guarded by mu

	rolledBack bool // it was told that an older version is meant, guarded by mu

	fail   func(b certfleet.Bundle) error
	during func()
}

// Deliver holds each bundle for which fail says nothing.
func (r *rack) Deliver(_ context.Context, bundles []certfleet.Bundle, before []certfleet.Receipt) ([]certfleet.Receipt, error) {
	var out []certfleet.Receipt
	r.mu.Lock()
	mum := r.mum
	r.mu.Unlock()
	for _, b := range bundles {
		rc := certfleet.Receipt{Certificate: b.Certificate, Version: b.Version, Fingerprint: b.Fingerprint, State: []byte("kept"), Applied: !mum}
		if rc.Err = r.take(b); errors.Is(rc.Err, errSilent) {
			continue
		}
		out = append(out, rc)
	}
	r.mu.Lock()
	r.before = before
	during := r.during
	r.mu.Unlock()
	if during != nil {
		during()
	}
	return out, nil
}

var errSilent = errors.New("no receipt")

func (r *rack) take(b certfleet.Bundle) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handed = append(r.handed, b.Version)
	r.again, r.rolledBack = r.again || b.Again, r.rolledBack || b.Rollback
	if r.fail != nil {
		if err := r.fail(b); err != nil {
			return err
		}
	}
	pair, err := tls.X509KeyPair(b.ChainPEM, b.KeyPEM)
	if err != nil || b.Version < r.versions[b.Certificate] && !b.Rollback {
		return err
	}
	r.held[b.Certificate], r.versions[b.Certificate] = &pair, b.Version
	if !r.stuck {
		r.serving[b.Certificate] = &pair
	}
	return nil
}

// set changes the rack's behaviour.
func (r *rack) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *rack) count(version int64) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.handed {
		if v == version {
			n++
		}
	}
	return n
}

func (r *rack) serve(t testing.TB) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if c, ok := r.serving[h.ServerName]; ok {
			return c, nil
		}
		return nil, errors.New("no such name")
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

// yard is a store with one target.
type yard struct {
	testing.TB
	db     *store.DB
	keys   *keystore.Keystore
	ca     *pki.CA
	rack   *rack
	target *certfleet.StoredTarget
	policy *certfleet.Policy
}

func build(t testing.TB, db *store.DB) *yard {
	t.Helper()
	key, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{TB: t, db: db, keys: stored.New(key, db),
		rack: &rack{held: map[string]*tls.Certificate{}, serving: map[string]*tls.Certificate{}, versions: map[string]int64{}}}
	if y.ca, err = pki.NewCA("test", time.Now()); err != nil {
		t.Fatal(err)
	}
	y.target = &certfleet.StoredTarget{Label: "rack", Type: "rack", Probe: []string{y.rack.serve(t)}}
	y.policy = &certfleet.Policy{Label: "default"}
	y.tx(func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.AddTarget(ctx, y.target), tx.AddPolicy(ctx, y.policy))
	})
	return y
}

// room is a process of its own; its owner is one that has died.
func (y *yard) room(n int) *deliver.Room {
	host, _ := os.Hostname()
	return &deliver.Room{DB: y.db, Keys: y.keys, Probe: probe.Options{Timeout: trial.Patience}, Owner: fmt.Sprintf("%s/%d/1/%s", host, 1<<30+n, path.Base(work.OwnerName())),
		Target: func(*certfleet.StoredTarget) (certfleet.Target, error) { return y.rack, nil }}
}

func (y *yard) tx(fn func(context.Context, *store.Tx) error) {
	y.Helper()
	ctx := context.WithoutCancel(y.Context())
	if err := y.db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		y.Fatal(err)
	}
}

func (y *yard) certificate(name string) *certfleet.Certificate {
	y.Helper()
	names, err := certfleet.ParseNames([]string{name})
	if err != nil {
		y.Fatal(err)
	}
	c := &certfleet.Certificate{Label: name, Names: names, PolicyID: y.policy.ID, Targets: []string{"rack"}}
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddCertificate(ctx, c, "operator") })
	return c
}

// version gives the certificate a new version, as issuing does, and returns its delivery.
func (y *yard) version(id int64) *certfleet.Delivery {
	y.Helper()
	list := y.versionAll(id)
	if len(list) != 1 {
		y.Fatalf("%d deliveries", len(list))
	}
	return list[0]
}

// versionAll is version for a certificate with several targets, in their order.
func (y *yard) versionAll(id int64) (out []*certfleet.Delivery) {
	y.Helper()
	c, err := y.db.Certificate(y.Context(), id)
	if err != nil {
		y.Fatal(err)
	}
	issued, err := y.ca.IssueServer(certfleet.Strings(c.Names), 90*24*time.Hour, time.Now())
	if err != nil {
		y.Fatal(err)
	}
	chain, signer, err := pki.ParsePair(issued.ChainPEM, issued.KeyPEM)
	if err != nil {
		y.Fatal(err)
	}
	key, err := y.keys.SealImported(y.Context(), 1, "certificate", signer)
	if err != nil {
		y.Fatal(err)
	}
	v := issue.VersionOf(chain[0], issued.ChainPEM)
	v.Tenant, v.CertificateID, v.Origin = 1, c.ID, "issued"
	y.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddKey(ctx, key); err != nil {
			return err
		}
		v.KeyID = key.ID
		return errors.Join(tx.AddVersion(ctx, v, nil), issue.Adopt(ctx, tx, c, v, certfleet.SlotECDSA))
	})
	list, _, err := y.db.Deliveries(y.Context(), store.DeliveryFilter{VersionID: v.ID})
	if err != nil {
		y.Fatal(err)
	}
	slices.SortFunc(list, func(a, b certfleet.Delivery) int { return int(a.TargetID - b.TargetID) })
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

// now brings one delivery further, whenever it is due.
func (y *yard) now(r *deliver.Room, id int64) *certfleet.Delivery {
	y.Helper()
	d := y.delivery(id)
	d.DueAt = time.Now().Add(-time.Second)
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveDelivery(ctx, d) })
	if err := r.Do(y.Context(), id); err != nil && !errors.Is(err, store.ErrStale) {
		y.Fatal(err)
	}
	return y.delivery(id)
}

func (y *yard) delivery(id int64) *certfleet.Delivery {
	y.Helper()
	d, err := y.db.Delivery(y.Context(), id)
	if err != nil {
		y.Fatal(err)
	}
	return d
}

// served brings a delivery to its end.
func (y *yard) served(r *deliver.Room, id int64) *certfleet.Delivery {
	y.Helper()
	for range 4 {
		if d := y.now(r, id); d.State == certfleet.DeliveryServed {
			return d
		}
	}
	y.Fatalf("not served: %+v", y.delivery(id))
	return nil
}

// shows is the fingerprint that the edge serves for a name.
func (y *yard) shows(name string) string {
	y.Helper()
	n, err := certfleet.ParseName(name)
	if err != nil {
		y.Fatal(err)
	}
	seen, err := probe.Look(y.Context(), y.target.Probe[0], n, probe.Options{})
	if err != nil {
		return err.Error()
	}
	return seen.Fingerprint
}

func (y *yard) fingerprint(d *certfleet.Delivery) string {
	y.Helper()
	v, err := y.db.Version(y.Context(), d.VersionID)
	if err != nil {
		y.Fatal(err)
	}
	return v.Fingerprint
}

func (y *yard) events(certificate int64, kind string) int {
	y.Helper()
	list, _, err := y.db.Events(y.Context(), store.EventFilter{CertificateID: certificate, Limit: 200})
	if err != nil {
		y.Fatal(err)
	}
	n := 0
	for _, e := range list {
		n += strings.Count(e.Kind, kind)
	}
	return n
}

// refusing is a listener's address that nobody answers at.
func refusing(t testing.TB) string {
	return fmt.Sprintf("127.0.0.1:%d", porttest.Port(t))
}
