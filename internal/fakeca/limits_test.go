package fakeca_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
)

func limitOf(t testing.TB, err error) *acme.Problem {
	t.Helper()
	p, ok := errors.AsType[*acme.Problem](err)
	if !ok || p.Name() != "rateLimited" || p.Status != http.StatusTooManyRequests {
		t.Fatalf("got %v, want a 429", err)
	}
	return p
}

func TestNewOrdersOfAnAccountAreLimited(t *testing.T) {
	k := start(t, fakeca.Options{Limits: fakeca.LetsEncrypt()})
	for i := range 300 {
		k.order(acme.OrderRequest{Names: names(t, host(i))})
	}
	_, err := k.client.NewOrder(t.Context(), k.acct, acme.OrderRequest{Names: names(t, host(300))})
	p := limitOf(t, err)
	const want = "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-01 00:00:36 UTC: see https://fakeca.test/docs/rate-limits/#new-orders-per-account"
	if wait := time.Until(p.RetryAfter); p.Detail != want || wait < 35*time.Second || wait > 36*time.Second || !strings.HasSuffix(p.Help, "#new-orders-per-account") {
		t.Errorf("%q, retry in %s, help %q", p.Detail, wait, p.Help)
	}
	k.pass(36 * time.Second)
	k.order(acme.OrderRequest{Names: names(t, host(300))})
	if b := k.ca.Breaches(); len(b) != 1 || b[0].Limit != fakeca.NewOrders || b[0].Count != 1 || !b[0].First.Equal(t0) {
		t.Errorf("breaches %+v", b)
	}
	k.acct = k.register()
	k.order(acme.OrderRequest{Names: names(t, host(301))})
}

func TestCertificatesOfARegisteredDomainAreLimited(t *testing.T) {
	k := start(t, fakeca.Options{Limits: fakeca.LetsEncrypt()})
	shop := func(i int) acme.OrderRequest {
		return acme.OrderRequest{Names: names(t, fmt.Sprintf("n%d.shop.example", i), fmt.Sprintf("m%d.shop.example", i))}
	}
	for i := range 50 {
		k.issue(shop(i))
	}
	k.acct = k.register() // the limit is everybody's
	_, err := k.client.NewOrder(t.Context(), k.acct, shop(50))
	if p := limitOf(t, err); !strings.HasPrefix(p.Detail, `too many certificates (50) already issued for "shop.example" in the last 168h0m0s, retry after `) {
		t.Errorf("%q", p.Detail)
	}
	k.issue(shop(7)) // the same set is exempt
	k.issue(acme.OrderRequest{Names: names(t, "n.else.example")})
	k.pass(202 * time.Minute)
	k.issue(shop(50))
}

func TestCertificatesOfAnExactSetAreLimited(t *testing.T) {
	k := start(t, fakeca.Options{Limits: fakeca.LetsEncrypt()})
	for i := range 5 {
		k.issue(acme.OrderRequest{Names: names(t, "a.example", "b.example")})
		k.pass(time.Duration(i) * time.Minute)
	}
	_, _, err := k.tryIssue(acme.OrderRequest{Names: names(t, "b.example", "a.example")})
	if p := limitOf(t, err); !strings.Contains(p.Detail, "exact set of identifiers") {
		t.Errorf("%q", p.Detail)
	}
	k.issue(acme.OrderRequest{Names: names(t, "a.example", "b.example", "c.example")})
}

func TestFailedValidationsOfANameAreLimitedPerAccount(t *testing.T) {
	k := start(t, fakeca.Options{Limits: fakeca.LetsEncrypt(), Validate: only("good.example")})
	bad := acme.OrderRequest{Names: names(t, "bad.example")}
	for range 5 {
		k.answer(k.order(bad))
	}
	_, err := k.client.NewOrder(t.Context(), k.acct, bad)
	if p := limitOf(t, err); !strings.HasPrefix(p.Detail, `too many failed authorizations (5) for "bad.example" in the last 1h0m0s`) {
		t.Errorf("%q", p.Detail)
	}
	k.issue(acme.OrderRequest{Names: names(t, "good.example")})
	k.acct = k.register()
	k.order(bad)
}

func TestNamesThatNeverSucceedArePausedUntilAPersonHelps(t *testing.T) {
	good := false
	k := start(t, fakeca.Options{Limits: []fakeca.Limit{{Name: fakeca.ConsecutiveFailures, Count: 1, Period: 99 * day, Burst: 3}}, Validate: func(_ context.Context, _ fakeca.Validation) error {
		if good {
			return nil
		}
		return errors.New("no route to host")
	}})
	req := acme.OrderRequest{Names: names(t, "a.example")}
	fail := func(n int) {
		for range n {
			k.answer(k.order(req))
		}
	}
	fail(2)
	good = true
	k.issue(req)
	k.pass(31 * day) // beyond reuse
	good = false
	fail(4) // the success zeroed the count; the fourth in a row is one too many
	_, err := k.client.NewOrder(t.Context(), k.acct, req)
	p := limitOf(t, err)
	if !strings.HasPrefix(p.Detail, "Your account is temporarily prevented from requesting certificates for a.example and possibly others. Please visit: https://fakeca.test/unpause/") || !p.RetryAfter.IsZero() {
		t.Errorf("%q, retry at %s", p.Detail, p.RetryAfter)
	}
	if !slices.Equal(breached(k.ca), []string{fakeca.ConsecutiveFailures}) {
		t.Errorf("breaches %v", k.ca.Breaches())
	}
	if n := k.ca.Unpause(k.acct.URL); n != 1 {
		t.Errorf("%d names let go", n)
	}
	fail(1)
}

func TestAPausedNameIsPausedInItsWindowToo(t *testing.T) {
	k := start(t, fakeca.Options{})
	leaf, _ := k.issue(acme.OrderRequest{Names: names(t, "a.example")})
	k.pass(leaf.NotAfter.Add(-30 * day).Sub(k.now()))
	k.ca.Pause(k.acct.URL, "a.example")
	_, err := k.client.NewOrder(t.Context(), k.acct, acme.OrderRequest{Names: names(t, "a.example"), Replaces: ariID(t, leaf)})
	limitOf(t, err)
	k.issue(acme.OrderRequest{Names: names(t, "b.example")})
}

func TestRegistrationsOfAnAddressAreLimited(t *testing.T) {
	k := start(t, fakeca.Options{Limits: fakeca.LetsEncrypt()})
	try := func(source string) error {
		c := acme.New(acme.Options{DirectoryURL: k.ca.DirectoryURL(), HTTP: &http.Client{Transport: k.ca.From(source)}})
		_, err := c.Register(t.Context(), newKey(t), acme.Registration{TermsAgreed: true})
		return err
	}
	for i := range 10 {
		if err := try("198.51.100.1"); err != nil {
			t.Fatalf("registration %d: %v", i, err)
		}
	}
	limitOf(t, try("198.51.100.1"))
	if err := try("198.51.100.2"); err != nil {
		t.Error(err)
	}
}

func TestOverridesAreGrantedToAnAccountOrADomain(t *testing.T) {
	k := start(t, fakeca.Options{Limits: []fakeca.Limit{{fakeca.NewOrders, 2, 3 * hour, 0}, {fakeca.PerDomain, 1, 7 * day, 0}}})
	k.ca.Grant(fakeca.Override{Account: k.acct.URL, Limit: fakeca.Limit{Name: fakeca.NewOrders, Count: 20, Period: 3 * hour}})
	k.ca.Grant(fakeca.Override{Domain: "host.example", Limit: fakeca.Limit{Name: fakeca.PerDomain, Count: 7, Period: 7 * day}})
	for i := range 7 {
		k.issue(acme.OrderRequest{Names: names(t, fmt.Sprintf("n%d.host.example", i))})
	}
	_, _, err := k.tryIssue(acme.OrderRequest{Names: names(t, "n7.host.example")})
	limitOf(t, err)
	k.issue(acme.OrderRequest{Names: names(t, "a.else.example")})
	_, _, err = k.tryIssue(acme.OrderRequest{Names: names(t, "b.else.example")})
	limitOf(t, err)
	if got := breached(k.ca); !slices.Equal(got, []string{fakeca.PerDomain}) {
		t.Errorf("breaches of %v", got)
	}
}

func TestAnAddressThatAsksTooFastIsHeldBack(t *testing.T) {
	k := start(t, fakeca.Options{Paces: fakeca.LetsEncryptPaces()})
	var err error
	for range 41 {
		_, err = k.client.Refresh(t.Context())
	}
	p, ok := errors.AsType[*acme.Problem](err)
	if !ok || p.Status != http.StatusServiceUnavailable || p.RetryAfter.IsZero() {
		t.Fatalf("the 41st request for the directory at one instant: %v", err)
	}
	k.pass(time.Second)
	if _, err := k.client.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if got := breached(k.ca); !slices.Equal(got, []string{"pace-directory"}) {
		t.Errorf("breaches of %v", got)
	}
}
