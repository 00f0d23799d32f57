package demand_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/demand"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// newRoom is a room over a store with a policy, under rules.
func newRoom(t *testing.T, rules demand.Rules) *demand.Room {
	t.Helper()
	db := storetest.SQLite(t)
	tx(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddAuthority(ctx, &certfleet.Authority{Label: "ca", DirectoryURL: "https://ca.example/directory"}); err != nil {
			return err
		}
		return tx.AddPolicy(ctx, &certfleet.Policy{Label: "default"})
	})
	if rules.Wait == 0 {
		rules.Wait = 200 * time.Millisecond
	}
	return &demand.Room{DB: db, Rules: &rules}
}

func tx(t *testing.T, db *store.DB, fn func(context.Context, *store.Tx) error) {
	t.Helper()
	if err := db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func name(t *testing.T, s string) certfleet.Name {
	t.Helper()
	n, err := certfleet.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// certificates are the labels of all that was asked for.
func certificates(t *testing.T, db *store.DB) (labels []string) {
	t.Helper()
	list, _, err := db.Certificates(t.Context(), store.CertificateFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		labels = append(labels, c.Label)
	}
	return labels
}

func TestOnlyWhatARuleAllowsIsOrdered(t *testing.T) {
	asked := atomic.Int64{}
	ask := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Query().Get("domain") {
		case "asked.example.net":
		case "slow.example.net":
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer ask.Close()
	all := demand.Rules{Inventory: true, Patterns: []*regexp.Regexp{regexp.MustCompile(`^(?:[a-z]+\.shops\.example\.com)$`)}, Ask: ask.URL + "/may?x=1"}
	for _, c := range []struct {
		name  string
		rules demand.Rules
		want  certfleet.Kind
		ok    bool
	}{
		{name: "a.shops.example.com", rules: all, ok: true},
		{name: "a.shops.example.com.evil.net", rules: all, want: certfleet.Denied},
		{name: "asked.example.net", rules: all, ok: true},
		{name: "other.example.net", rules: all, want: certfleet.Denied},
		{name: "slow.example.net", rules: all, want: certfleet.Unreachable},
		{name: "known.example.org", rules: demand.Rules{Inventory: true}, ok: true},
		{name: "unknown.example.org", rules: demand.Rules{Inventory: true}, want: certfleet.Denied},
		{name: "a.b.c.d.example.net", rules: all, want: certfleet.Denied},
		{name: "www.www.example.net", rules: all, want: certfleet.Denied},
		{name: "*.example.net", rules: all, want: certfleet.Denied},
		{name: "192.0.2.1", rules: all, want: certfleet.Denied},
		{name: "a.shops.example.com", rules: demand.Rules{}, want: certfleet.Denied},
	} {
		r := newRoom(t, c.rules)
		tx(t, r.DB, func(ctx context.Context, tx *store.Tx) error {
			p, err := tx.PolicyByLabel(ctx, 1, "default")
			if err != nil {
				return err
			}
			paused := &certfleet.Certificate{Label: "inventory", Names: []certfleet.Name{name(t, "known.example.org")}, PolicyID: p.ID, State: certfleet.Paused}
			return tx.AddCertificate(ctx, paused, "operator")
		})
		got, err := r.Get(t.Context(), 1, name(t, c.name))
		switch {
		case c.ok && (err != nil || !got.Pending || got.Certificate == 0):
			t.Errorf("%s: %+v, %v", c.name, got, err)
		case !c.ok && (err == nil || certfleet.KindOf(err) != c.want || certfleet.AdviceOf(err) == ""):
			t.Errorf("%s: %v, want %v with advice", c.name, err, c.want)
		}
		if n := len(certificates(t, r.DB)); (n == 2) != c.ok {
			t.Errorf("%s: %d certificates", c.name, n)
		}
	}
}

func TestANoIsRememberedAndNotAskedAgain(t *testing.T) {
	asked := atomic.Int64{}
	ask := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer ask.Close()
	r := newRoom(t, demand.Rules{Ask: ask.URL, DenyFor: time.Hour})
	for range 20 {
		if _, err := r.Get(t.Context(), 1, name(t, "bogus.example.net")); certfleet.KindOf(err) != certfleet.Denied {
			t.Fatal(err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	r = newRoom(t, demand.Rules{Ask: ask.URL, DenyFor: time.Millisecond})
	for range 2 {
		if _, err := r.Get(t.Context(), 1, name(t, "bogus.example.net")); certfleet.KindOf(err) != certfleet.Denied {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if asked.Load() != 3 {
		t.Errorf("after each no has aged: asked %d times, want twice more than once", asked.Load())
	}
}

func TestACrowdOrdersANameOnce(t *testing.T) {
	asked := atomic.Int64{}
	ask := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer ask.Close()
	r := newRoom(t, demand.Rules{Ask: ask.URL})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, err := r.Get(t.Context(), 1, name(t, "shop.example.net")); err != nil || !got.Pending {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	all.Wait()
	if list := certificates(t, r.DB); len(list) != 1 || asked.Load() != 1 {
		t.Errorf("certificates %v, asked %d times", list, asked.Load())
	}
}

func TestTheBudgetsBoundWhatIsOrdered(t *testing.T) {
	r := newRoom(t, demand.Rules{Patterns: []*regexp.Regexp{regexp.MustCompile(`.*`)}, PerDomain: 3, PerTenant: 5, Wait: time.Millisecond})
	limited := 0
	for _, domain := range []string{"example.net", "example.org"} {
		for i := range 5 {
			if _, err := r.Get(t.Context(), 1, name(t, fmt.Sprintf("h%d.%s", i, domain))); certfleet.KindOf(err) == certfleet.Limited {
				limited++
			}
		}
	}
	if n := len(certificates(t, r.DB)); n != 5 || limited != 5 {
		t.Errorf("%d certificates and %d refusals, want 3 and 2 of two domains", n, limited)
	}
}

func TestWhoWaitsGetsTheCertificateOrTheProblem(t *testing.T) {
	for _, c := range []struct {
		what    string
		after   func(*certfleet.Certificate)
		problem string
	}{
		{what: "issued", after: func(c *certfleet.Certificate) { c.NotAfter = time.Now().Add(time.Hour) }},
		{what: "failed", after: func(c *certfleet.Certificate) { c.Failures, c.Problem = 1, "port 80 is closed" }, problem: "port 80 is closed"},
	} {
		r := newRoom(t, demand.Rules{Patterns: []*regexp.Regexp{regexp.MustCompile(`.*`)}, Wait: trial.Patience})
		n := name(t, "shop.example.net")
		go func() {
			for t.Context().Err() == nil {
				time.Sleep(20 * time.Millisecond)
				if list, err := r.DB.CertificatesOf(context.Background(), 1, n); err == nil && len(list) == 1 {
					finish(r.DB, &list[0], c.problem == "", c.after)
					return
				}
			}
		}()
		began := time.Now()
		got, err := r.Get(t.Context(), 1, n)
		if err != nil || got.Pending || got.Problem != c.problem || time.Since(began) > trial.Patience/2 {
			t.Errorf("%s: %+v, %v after %v", c.what, got, err, time.Since(began))
		}
	}
}

// finish ends a certificate's first order in the store, as issuing would.
func finish(db *store.DB, c *certfleet.Certificate, issued bool, change func(*certfleet.Certificate)) {
	ctx := context.Background()
	_ = db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		change(c)
		if issued {
			v := &certfleet.Version{CertificateID: c.ID, Origin: "issued", Names: c.Names, Serial: "01", Fingerprint: "f00d", SPKI: "aa", NotAfter: c.NotAfter, ChainPEM: []byte("chain")}
			if err := tx.AddVersion(ctx, v, nil); err != nil {
				return err
			}
			c.VersionID = v.ID
		}
		return tx.SaveCertificate(ctx, c)
	})
}

func TestWithoutAPolicyTheDefaultForAutocertCounts(t *testing.T) {
	r := newRoom(t, demand.Rules{Patterns: []*regexp.Regexp{regexp.MustCompile(`^.*$`)}})
	short := &certfleet.Policy{Label: "short"}
	tx(t, r.DB, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddPolicy(ctx, short); err != nil {
			return err
		}
		return tx.SetDefaultPolicy(ctx, 0, certfleet.PurposeAutocert, short.ID)
	})
	got, err := r.Get(t.Context(), 1, name(t, "shop.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := r.DB.Certificate(t.Context(), got.Certificate); err != nil || c.Policy != "short" {
		t.Errorf("the certificate is %+v, %v; want it by policy short", c, err)
	}
}

func TestASecretInTheAskURLIsNotRepeated(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, err := newRoom(t, demand.Rules{Ask: gone.URL + "/may?token=hunter2"}).Get(t.Context(), 1, name(t, "shop.example.net"))
	if certfleet.KindOf(err) != certfleet.Unreachable || strings.Contains(fmt.Sprintf("%+v %v", err, errors.Unwrap(err)), "hunter2") {
		t.Errorf("an ask URL that is gone: %v, because of %v", err, errors.Unwrap(err))
	}
}
