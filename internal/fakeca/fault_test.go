package fakeca_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
)

// TestEachFaultLooksToAClientAsItShould injects one fault before one order.
func TestEachFaultLooksToAClientAsItShould(t *testing.T) {
	kind := func(want certfleet.Kind) func(error) bool {
		return func(err error) bool { return err != nil && certfleet.KindOf(err) == want }
	}
	status := func(want int, after time.Duration) func(error) bool {
		return func(err error) bool {
			p, ok := errors.AsType[*acme.Problem](err)
			wait := time.Duration(0)
			if ok && !p.RetryAfter.IsZero() {
				wait = time.Until(p.RetryAfter).Round(time.Minute)
			}
			return ok && p.Status == want && wait == after
		}
	}
	is := func(name string) func(error) bool { return func(err error) bool { return acme.Is(err, name) } }
	for _, c := range []struct {
		what string
		f    fakeca.Fault
		want func(error) bool
	}{
		{"some bad nonces", fakeca.Fault{Kind: fakeca.BadNonce, Share: 0.3}, func(err error) bool { return err == nil }},
		{"bad nonces only", fakeca.Fault{Kind: fakeca.BadNonce}, is("badNonce")},
		{"500", fakeca.Fault{Kind: fakeca.ServerError}, status(500, 0)},
		{"503 for 5 minutes", fakeca.Fault{Kind: fakeca.ServerError, Status: 503, After: fakeca.AfterSeconds, Delay: 5 * time.Minute}, status(503, 5*time.Minute)},
		{"429 in seconds", fakeca.Fault{Kind: fakeca.RateLimited, Delay: 90 * time.Minute}, status(429, 90*time.Minute)},
		{"429 without a time", fakeca.Fault{Kind: fakeca.RateLimited, After: fakeca.AfterNone}, status(429, 0)},
		{"429 absurd", fakeca.Fault{Kind: fakeca.RateLimited, After: fakeca.AfterAbsurd}, status(429, 30*day)},
		{"a page", fakeca.Fault{Kind: fakeca.HTMLPage}, status(502, 0)},
		{"half an answer", fakeca.Fault{Kind: fakeca.Truncated}, kind(certfleet.Unreachable)},
		{"nobody there", fakeca.Fault{Kind: fakeca.Outage}, kind(certfleet.Unreachable)},
		{"dropped", fakeca.Fault{Kind: fakeca.Dropped, Endpoint: "newOrder"}, kind(certfleet.Unreachable)},
		{"lost at the end", fakeca.Fault{Kind: fakeca.LostAnswer, Endpoint: "finalize"}, kind(certfleet.Unreachable)},
		{"terms changed", fakeca.Fault{Kind: fakeca.UserActionRequired}, is("userActionRequired")},
		{"account gone", fakeca.Fault{Kind: fakeca.AccountGone}, is("accountDoesNotExist")},
		{"no replaces, no conflict", fakeca.Fault{Kind: fakeca.AlreadyReplaced}, func(err error) bool { return err == nil }},
		{"profile gone", fakeca.Fault{Kind: fakeca.VanishedProfile, Name: "tlsserver"}, is("invalidProfile")},
		{"once is enough", fakeca.Fault{Kind: fakeca.BadNonce, Times: 1}, func(err error) bool { return err == nil }},
		{"not yet", fakeca.Fault{Kind: fakeca.Outage, From: t0.Add(hour)}, func(err error) bool { return err == nil }},
		{"no longer", fakeca.Fault{Kind: fakeca.Outage, Until: t0}, func(err error) bool { return err == nil }},
	} {
		k := start(t, fakeca.Options{Seed: 5})
		k.ca.Inject(c.f)
		_, err := k.placeAndFinalize(acme.OrderRequest{Names: names(t, "a.example"), Profile: "tlsserver"})
		if !c.want(err) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// placeAndFinalize is an order that believes in nothing but errors.
func (k *kit) placeAndFinalize(req acme.OrderRequest) (acme.Order, error) {
	ctx := k.Context()
	o, err := k.client.NewOrder(ctx, k.acct, req)
	if err != nil {
		return o, err
	}
	z, err := k.client.GetAuthorization(ctx, k.acct, o.Authorizations[0])
	if err != nil {
		return o, err
	}
	if _, err := k.client.Answer(ctx, k.acct, z.Challenges[0].URL); err != nil {
		return o, err
	}
	done, err := k.client.Finalize(ctx, k.acct, o.Finalize, csr(k, newKey(k), req.Names))
	if err != nil {
		return o, err
	}
	return done, nil
}

func TestRetryAfterAsADateIsByTheCAsClock(t *testing.T) {
	k := start(t, fakeca.Options{Faults: nil})
	k.ca.Inject(fakeca.Fault{Kind: fakeca.RateLimited, Endpoint: "directory", After: fakeca.AfterDate, Delay: 2 * hour})
	req := httptest.NewRequest(http.MethodGet, k.ca.DirectoryURL(), nil)
	a, err := k.ca.RoundTripper().RoundTrip(req)
	if err != nil || a.Header.Get("Retry-After") != "Sun, 01 Nov 2026 02:00:00 GMT" {
		t.Errorf("%v, %v", a.Header, err)
	}
}

func TestALostAnswerWasDone(t *testing.T) {
	k := start(t, fakeca.Options{})
	k.ca.Inject(fakeca.Fault{Kind: fakeca.LostAnswer, Endpoint: "finalize", Times: 1})
	o, err := k.placeAndFinalize(acme.OrderRequest{Names: names(t, "a.example")})
	if certfleet.KindOf(err) != certfleet.Unreachable {
		t.Fatalf("got %v", err)
	}
	if got, err := k.client.GetOrder(t.Context(), k.acct, o.URL); err != nil || got.Status != "valid" {
		t.Errorf("order is %s, %v", got.Status, err)
	}
}

func TestAStuckOrderMayEndAtLast(t *testing.T) {
	for _, c := range []struct {
		delay time.Duration
		want  string
	}{{0, "processing"}, {2 * hour, "valid"}} {
		k := start(t, fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.Stuck, Delay: c.delay}}})
		o, err := k.placeAndFinalize(acme.OrderRequest{Names: names(t, "a.example")})
		if err != nil || o.Status != "processing" {
			t.Fatalf("%s, %v", o.Status, err)
		}
		k.pass(3 * hour)
		if got, err := k.client.GetOrder(t.Context(), k.acct, o.URL); err != nil || got.Status != c.want {
			t.Errorf("delay %s: order is %s after three hours, %v", c.delay, got.Status, err)
		}
	}
}

func TestCertificatesCanBeWrong(t *testing.T) {
	k := start(t, fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.WrongKey, Times: 1}, {Kind: fakeca.MissingIntermediate, Times: 1}}})
	key := newKey(t)
	o := k.order(acme.OrderRequest{Names: names(t, "a.example")})
	k.answer(o)
	o, err := k.client.Finalize(t.Context(), k.acct, o.Finalize, csr(t, key, o.Names))
	if err != nil {
		t.Fatal(err)
	}
	chains, err := k.client.Certificate(t.Context(), k.acct, o.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	first := parse(t, chains[0])
	if len(first) != 1 || key.PublicKey.Equal(first[0].PublicKey) {
		t.Errorf("%d certificates, for our key: %v", len(first), key.PublicKey.Equal(first[0].PublicKey))
	}
	_, chains = k.issue(acme.OrderRequest{Names: names(t, "b.example")})
	k.verifies(chains[0], "b.example")
}

func TestTheSameSeedHasTheSameFaults(t *testing.T) {
	run := func(seed uint64) (hits []int) {
		k := start(t, fakeca.Options{Seed: seed})
		k.ca.Inject(fakeca.Fault{Kind: fakeca.ServerError, Share: 0.2, Endpoint: "directory"})
		for i := range 200 {
			if _, err := k.client.Refresh(t.Context()); err != nil {
				hits = append(hits, i)
			}
		}
		return hits
	}
	a, b, c := run(1), run(1), run(2)
	if !slices.Equal(a, b) || slices.Equal(a, c) || len(a) < 20 || len(a) > 60 {
		t.Errorf("%d, %d and %d faults in 200", len(a), len(b), len(c))
	}
}

func TestASlowAnswerWaitsByTheBubblesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.Slow, Delay: 20 * time.Second}}})
		c := acme.New(acme.Options{DirectoryURL: ca.DirectoryURL(), HTTP: &http.Client{Transport: ca.RoundTripper()}})
		began := time.Now()
		if _, err := c.Directory(t.Context()); err != nil || time.Since(began) != 20*time.Second {
			t.Errorf("took %s, %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := c.Refresh(ctx); err == nil || time.Since(began) != 25*time.Second {
			t.Errorf("gave up after %s, %v", time.Since(began)-20*time.Second, err)
		}
	})
}

func TestOverHTTPADropBreaksTheConnection(t *testing.T) {
	ca := fakeca.New(fakeca.Options{})
	srv := httptest.NewServer(ca.Handler())
	defer srv.Close()
	c := acme.New(acme.Options{DirectoryURL: srv.URL + "/directory", HTTP: srv.Client()})
	k := &kit{TB: t, clock: &clock{at: time.Now()}, ca: ca, client: c}
	k.acct = k.register()
	_, chains := k.issue(acme.OrderRequest{Names: names(t, "a.example")})
	k.verifies(chains[0], "a.example")
	ca.Inject(fakeca.Fault{Kind: fakeca.Dropped})
	_, err := c.Refresh(t.Context())
	if certfleet.KindOf(err) != certfleet.Unreachable {
		t.Errorf("got %v", err)
	}
	ca.Heal()
	if _, err := c.Refresh(t.Context()); err != nil {
		t.Error(fmt.Errorf("after healing: %w", err))
	}
}
