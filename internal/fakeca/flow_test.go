package fakeca_test

import (
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
)

func TestTheWholeWayByOurOwnClient(t *testing.T) {
	for what, c := range map[string]struct {
		names   []string
		profile string
		host    string
		life    time.Duration
	}{
		"two names":  {[]string{"b.shop.example", "a.shop.example"}, "", "a.shop.example", 90 * 24 * time.Hour},
		"a wildcard": {[]string{"*.shop.example", "shop.example"}, "tlsserver", "www.shop.example", 45 * 24 * time.Hour},
		"addresses":  {[]string{"192.0.2.7", "2001:db8::7", "shop.example"}, "shortlived", "2001:db8::7", 160 * time.Hour},
	} {
		k := start(t, fakeca.Options{Seed: 1})
		req := acme.OrderRequest{Names: names(t, c.names...), Profile: c.profile}
		leaf, chains := k.issue(req)
		if root := k.verifies(chains[0], c.host); len(chains) != 2 || root == k.verifies(chains[1], c.host) {
			t.Errorf("%s: %d chains, the first ends in %s", what, len(chains), root)
		}
		if life := leaf.NotAfter.Sub(leaf.NotBefore) + time.Second; life != c.life {
			t.Errorf("%s: holds for %s, want %s", what, life, c.life)
		}
		if n := len(leaf.DNSNames) + len(leaf.IPAddresses); n != len(c.names) {
			t.Errorf("%s: %d names", what, n)
		}
	}
}

func TestAnOrderGoesThroughItsStates(t *testing.T) {
	k := start(t, fakeca.Options{ValidationDelay: 5 * time.Second, IssueDelay: 4 * time.Second})
	o := k.order(acme.OrderRequest{Names: names(t, "a.example")})
	status := func(want string) acme.Order {
		t.Helper()
		got, err := k.client.GetOrder(t.Context(), k.acct, o.URL)
		if err != nil || got.Status != want {
			t.Fatalf("order is %q (%v), want %s", got.Status, err, want)
		}
		return got
	}
	status("pending")
	if z := k.answer(o)[0]; z.Status != "pending" || z.Challenges[0].Status != "processing" {
		t.Fatalf("authorization %s, challenge %s right after the answer", z.Status, z.Challenges[0].Status)
	}
	status("pending")
	k.pass(5 * time.Second)
	status("ready")
	if _, err := k.client.Finalize(t.Context(), k.acct, o.Finalize, csr(t, newKey(t), o.Names)); err != nil {
		t.Fatal(err)
	}
	if got := status("processing"); got.RetryAfter != 3*time.Second {
		t.Errorf("retry after %s", got.RetryAfter)
	}
	_, err := k.client.Finalize(t.Context(), k.acct, o.Finalize, csr(t, newKey(t), o.Names))
	refused(t, err, "orderNotReady")
	k.pass(4 * time.Second)
	if got := status("valid"); got.Certificate == "" {
		t.Error("a valid order without a certificate")
	}
}

func TestAFailedValidationMakesTheOrderInvalid(t *testing.T) {
	k := start(t, fakeca.Options{Validate: only("a.example")})
	o := k.order(acme.OrderRequest{Names: names(t, "a.example", "b.example")})
	zs := k.answer(o)
	if zs[0].Status != "valid" || zs[1].Status != "invalid" || zs[1].Challenges[0].Problem.Name() != "dns" {
		t.Fatalf("authorizations %+v", zs)
	}
	got, err := k.client.GetOrder(t.Context(), k.acct, o.URL)
	if err != nil || got.Status != "invalid" || got.Problem == nil || got.Problem.Subproblems[0].Identifier != "b.example" {
		t.Errorf("order %+v, %v", got, err)
	}
}

func TestAuthorizationsAreReusedAsLongAsTheProfileSays(t *testing.T) {
	for _, c := range []struct {
		profile string
		after   time.Duration
		lean    bool
		want    string
	}{
		{"", 20 * 24 * time.Hour, false, "valid"}, {"", 31 * 24 * time.Hour, false, "pending"},
		{"tlsserver", 3 * time.Hour, false, "valid"}, {"tlsserver", 8 * time.Hour, false, "pending"},
		{"", time.Hour, true, "pending"},
	} {
		k := start(t, fakeca.Options{Lean: c.lean})
		req := acme.OrderRequest{Names: names(t, "a.example"), Profile: c.profile}
		k.issue(req)
		k.pass(c.after)
		if z := k.authorization(k.order(req).Authorizations[0]); z.Status != c.want {
			t.Errorf("%q after %s (lean %v): %s, want %s", c.profile, c.after, c.lean, z.Status, c.want)
		}
	}
}

func TestAPendingOrderForTheSameNamesIsTheSameOrder(t *testing.T) {
	k := start(t, fakeca.Options{})
	a := k.order(acme.OrderRequest{Names: names(t, "a.example", "b.example")})
	b := k.order(acme.OrderRequest{Names: names(t, "b.example", "a.example")})
	c := k.order(acme.OrderRequest{Names: names(t, "b.example", "a.example"), Profile: "tlsserver"})
	if a.URL != b.URL || a.URL == c.URL {
		t.Errorf("orders %s, %s and %s", a.URL, b.URL, c.URL)
	}
}

func TestAGivenUpAuthorizationEndsItsOrder(t *testing.T) {
	k := start(t, fakeca.Options{})
	o := k.order(acme.OrderRequest{Names: names(t, "a.example")})
	if z, err := k.client.DeactivateAuthorization(t.Context(), k.acct, o.Authorizations[0]); err != nil || z.Status != "deactivated" {
		t.Fatalf("%s, %v", z.Status, err)
	}
	if got, err := k.client.GetOrder(t.Context(), k.acct, o.URL); err != nil || got.Status != "invalid" {
		t.Errorf("order is %s, %v", got.Status, err)
	}
}

func TestOrdersAreListedByPages(t *testing.T) {
	k := start(t, fakeca.Options{})
	var placed, listed []string
	for i := range 120 {
		placed = append(placed, k.order(acme.OrderRequest{Names: names(t, host(i))}).URL)
	}
	info, err := k.client.AccountInfo(t.Context(), k.acct)
	if err != nil {
		t.Fatal(err)
	}
	for page := info.Orders; page != ""; {
		urls, next, err := k.client.Orders(t.Context(), k.acct, page)
		if err != nil {
			t.Fatal(err)
		}
		listed, page = append(listed, urls...), next
	}
	if !slices.Equal(placed, listed) {
		t.Errorf("%d placed, %d listed", len(placed), len(listed))
	}
}

func TestExpiredOrdersAreGone(t *testing.T) {
	k := start(t, fakeca.Options{})
	o := k.order(acme.OrderRequest{Names: names(t, "a.example"), Profile: "tlsserver"})
	k.pass(2 * time.Hour)
	_, err := k.client.GetOrder(t.Context(), k.acct, o.URL)
	refused(t, err, "malformed")
}
