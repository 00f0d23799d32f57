package edge_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/edge"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/keystore/stored"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

type kit struct {
	t    *testing.T
	db   *store.DB
	room *edge.Room
}

func newKit(t *testing.T) *kit {
	t.Helper()
	db := storetest.SQLite(t)
	sealing, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return &kit{t, db, &edge.Room{DB: db, Keys: stored.New(sealing, db)}}
}

// fill makes a version and puts it into the slots of its names.
func (k *kit) fill(slot certfleet.SlotKind, life time.Duration, names ...string) int64 {
	k.t.Helper()
	ctx := k.t.Context()
	ca, err := pki.NewCA("Test Issuer", time.Now())
	must(k.t, err)
	got, err := ca.IssueServer(names, life, time.Now())
	must(k.t, err)
	chain, signer, err := pki.ParsePair(got.ChainPEM, got.KeyPEM)
	must(k.t, err)
	key, err := k.room.Keys.SealImported(ctx, 1, "certificate", signer)
	must(k.t, err)
	leaf := chain[0]
	v := &certfleet.Version{Tenant: 1, Origin: "imported", Serial: pki.Serial(leaf), Fingerprint: pki.Fingerprint(leaf), SPKI: pki.SPKI(signer.Public()), Issuer: "Test Issuer", NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, ChainPEM: got.ChainPEM}
	v.Names, err = certfleet.ParseNames(names)
	must(k.t, err)
	must(k.t, k.db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if err := tx.AddKey(ctx, key); err != nil {
			return err
		}
		v.KeyID = key.ID
		if err := tx.AddVersion(ctx, v, nil); err != nil {
			return err
		}
		for _, n := range v.Names {
			if err := tx.FillSlot(ctx, certfleet.Slot{Tenant: 1, Name: n, Kind: slot, VersionID: v.ID}); err != nil {
				return err
			}
		}
		return nil
	}))
	return v.ID
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (k *kit) asked(name string) edge.Asked {
	k.t.Helper()
	n, err := certfleet.ParseName(name)
	must(k.t, err)
	return edge.Asked{Tenant: 1, Edge: "token:nginx-1", Name: n}
}

// serves is the version that a name is answered with, zero for none.
func (k *kit) serves(name string) int64 {
	k.t.Helper()
	p, err := k.room.Find(k.t.Context(), k.asked(name))
	if certfleet.KindOf(err) == certfleet.NotFound && err != nil {
		return 0
	}
	must(k.t, err)
	return p.Version
}

func TestTheBestPairIsServed(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	const life = 90 * 24 * time.Hour
	shop := k.fill(certfleet.SlotECDSA, life, "shop.example.com")
	wild := k.fill(certfleet.SlotECDSA, life, "*.example.com")
	both := k.fill(certfleet.SlotECDSA, life, "both.example.org")
	rsa := k.fill(certfleet.SlotRSA, life, "both.example.org", "rsa.example.org")
	k.fill(certfleet.SlotBackup, life, "backup.example.org")
	k.fill(certfleet.SlotECDSA, -time.Hour, "old.example.com")
	fresh := k.fill(certfleet.SlotRSA, life, "mixed.example.org")
	k.fill(certfleet.SlotECDSA, -time.Hour, "mixed.example.org")
	gone := k.fill(certfleet.SlotECDSA, -time.Hour, "gone.example.org")
	for name, want := range map[string]int64{
		"shop.example.com":      shop,
		"other.example.com":     wild,
		"a.other.example.com":   0, // a wildcard stands for one label
		"example.com":           0,
		"both.example.org":      both,
		"rsa.example.org":       rsa,
		"backup.example.org":    0,     // a backup is never served by itself
		"old.example.com":       wild,  // an expired one never before a fresh one
		"mixed.example.org":     fresh, // of whatever kind
		"gone.example.org":      gone,  // better than nothing, and marked
		"unknown.example.net":   0,
		"192.0.2.1":             0,
		"*.example.com":         wild,
		"xn--bcher-kva.example": 0,
	} {
		if got := k.serves(name); got != want {
			t.Errorf("%s is served version %d, want %d", name, got, want)
		}
	}
	p, err := k.room.Find(t.Context(), k.asked("gone.example.org"))
	if err != nil || !p.Expired {
		t.Errorf("an expired pair is not marked: %+v, %v", p, err)
	}
	a := k.asked("both.example.org")
	a.Kind = certfleet.SlotRSA
	if p, err := k.room.Find(t.Context(), a); err != nil || p.Version != rsa {
		t.Errorf("the RSA pair: %+v, %v", p, err)
	}
}

func TestAChangeIsServedWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.fill(certfleet.SlotECDSA, time.Hour, "shop.example.com")
	before := k.serves("shop.example.com")
	if k.serves("new.example.com") != 0 {
		t.Fatal("served before it was there")
	}
	after, added := k.fill(certfleet.SlotECDSA, time.Hour, "shop.example.com"), k.fill(certfleet.SlotECDSA, time.Hour, "new.example.com")
	time.Sleep(1100 * time.Millisecond) // for a second it may say what it saw last
	if got := k.serves("shop.example.com"); got != after {
		t.Errorf("still version %d, which was %d before; want %d", got, before, after)
	}
	if got := k.serves("new.example.com"); got != added {
		t.Errorf("the new name is served version %d, want %d", got, added)
	}
}

func TestAStoreThatIsGoneTakesNothingFromAnEdge(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	want := k.fill(certfleet.SlotECDSA, time.Hour, "shop.example.com")
	k.serves("shop.example.com")
	must(t, k.db.Close())
	time.Sleep(1100 * time.Millisecond)
	if got := k.serves("shop.example.com"); got != want {
		t.Errorf("served %d, want %d", got, want)
	}
	if _, err := k.room.Find(t.Context(), k.asked("other.example.com")); err == nil || certfleet.KindOf(err) == certfleet.NotFound {
		t.Errorf("an outage looks like a name that is not there: %v", err)
	}
}

func TestEveryAnswerIsCounted(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	v := k.fill(certfleet.SlotECDSA, time.Hour, "shop.example.com")
	ctx, stop := context.WithCancel(t.Context())
	var log bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- k.room.Run(ctx, slog.New(slog.NewTextHandler(&log, nil))) }()
	const crowd, times = 8, 25
	k.serves("shop.example.com")
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			a := k.asked("shop.example.com")
			a.Edge = fmt.Sprintf("token:nginx-%d", i%2)
			for range times {
				if _, err := k.room.Find(t.Context(), a); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	stop()
	must(t, <-ended)
	rows, err := k.db.LookupsOf(t.Context(), v, 100)
	must(t, err)
	var total int64
	for _, r := range rows {
		total += r.N
	}
	if len(rows) < 2 || len(rows) > 4 || total != crowd*times+1 {
		t.Errorf("%d lookups in %d rows, want %d in one row an edge and hour", total, len(rows), crowd*times+1)
	}
}

func TestAFloodOfUnknownNamesDrivesNoPairOut(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.room.Misses, k.room.Pairs = 100, 10
	want := k.fill(certfleet.SlotECDSA, time.Hour, "shop.example.com")
	k.serves("shop.example.com")
	for i := range 1000 {
		if k.serves(fmt.Sprintf("bogus%d.example.com", i)) != 0 {
			t.Fatal("a bogus name is served")
		}
	}
	if got, misses := k.room.Held(); got != 1 || misses > 100 {
		t.Errorf("%d pairs and %d misses are remembered, want 1 and at most 100", got, misses)
	}
	if got := k.serves("shop.example.com"); got != want {
		t.Errorf("served %d, want %d", got, want)
	}
}

func TestAFloodBelowAWildcardDrivesNoPairOutAndOpensOneKey(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.room.Pairs = 10
	k.fill(certfleet.SlotECDSA, time.Hour, "shop.example.com")
	wild := k.fill(certfleet.SlotECDSA, time.Hour, "*.flood.example")
	found := func(name string) *edge.Pair {
		p, err := k.room.Find(t.Context(), k.asked(name))
		must(t, err)
		return p
	}
	shop, first := found("shop.example.com"), found("first.flood.example")
	for i := range 100 {
		name := fmt.Sprintf("bogus%d.flood.example", i)
		p := found(name)
		if p.Version != wild || p.Name.String() != name || p.Covers.String() != "*.flood.example" || &p.KeyPEM[0] != &first.KeyPEM[0] {
			t.Fatalf("%s gets %+v; want version %d with the key that is open already", name, p, wild)
		}
	}
	if got, _ := k.room.Held(); got != 2 {
		t.Errorf("%d opened pairs are remembered, want 2", got)
	}
	if again := found("shop.example.com"); &again.KeyPEM[0] != &shop.KeyPEM[0] {
		t.Error("the flood had the pair of another name opened again")
	}
	renewed := k.fill(certfleet.SlotECDSA, time.Hour, "*.flood.example")
	time.Sleep(1100 * time.Millisecond)
	for _, name := range []string{"first.flood.example", "bogus99.flood.example", "*.flood.example"} {
		if p := found(name); p.Version != renewed {
			t.Errorf("%s is served version %d after the renewal, want %d", name, p.Version, renewed)
		}
	}
}
