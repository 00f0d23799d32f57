package fakeca_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
)

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

func TestTheWindowIsOnePercentAroundTheIdealPoint(t *testing.T) {
	for profile, c := range map[string]struct{ left, life time.Duration }{
		"classic": {30 * day, 90 * day}, "tlsserver": {15 * day, 45 * day}, "shortlived": {80 * hour, 160 * hour},
	} {
		k := start(t, fakeca.Options{Seed: 7})
		leaf, _ := k.issue(acme.OrderRequest{Names: names(t, "a.example"), Profile: profile})
		w, err := k.client.RenewalInfo(t.Context(), ariID(t, leaf))
		if err != nil {
			t.Fatal(err)
		}
		ideal := leaf.NotAfter.Add(-c.left)
		if !w.Start.Equal(ideal.Add(-c.life/100)) || !w.End.Equal(ideal.Add(c.life/100)) || w.ExplanationURL != "" {
			t.Errorf("%s: from %s to %s around %s", profile, w.Start, w.End, ideal)
		}
		if w.RetryAfter < 48*hour/10 || w.RetryAfter > 72*hour/10 {
			t.Errorf("%s: ask again in %s, want 6 hours give or take a fifth", profile, w.RetryAfter)
		}
	}
}

func TestLifetimesFollowTheCalendar(t *testing.T) {
	for _, c := range []struct {
		on    time.Time
		days  int
		reuse time.Duration
	}{
		{time.Date(2027, 2, 9, 23, 0, 0, 0, time.UTC), 90, 30 * day},
		{time.Date(2027, 2, 10, 0, 0, 0, 0, time.UTC), 64, 10 * day},
		{time.Date(2028, 2, 15, 23, 59, 59, 0, time.UTC), 64, 10 * day},
		{time.Date(2028, 2, 16, 0, 0, 0, 0, time.UTC), 45, 7 * hour},
	} {
		k := start(t, fakeca.Options{})
		k.pass(c.on.Sub(t0))
		o := k.order(acme.OrderRequest{Names: names(t, "a.example")})
		if z := k.answer(o)[0]; !z.Expires.Equal(c.on.Add(c.reuse)) {
			t.Errorf("%s: proofs hold for %s, want %s", c.on, z.Expires.Sub(c.on), c.reuse)
		}
		leaf, _ := k.issue(acme.OrderRequest{Names: names(t, "a.example")})
		if got := leaf.NotAfter.Sub(leaf.NotBefore) + time.Second; got != time.Duration(c.days)*day {
			t.Errorf("%s: holds for %s, want %d days", c.on, got, c.days)
		}
	}
}

func TestACertificateIsReplacedOnce(t *testing.T) {
	k := start(t, fakeca.Options{})
	leaf, _ := k.issue(acme.OrderRequest{Names: names(t, "a.example", "b.example")})
	id := ariID(t, leaf)
	try := func(id string, list ...string) error {
		_, err := k.client.NewOrder(t.Context(), k.acct, acme.OrderRequest{Names: names(t, list...), Replaces: id})
		return err
	}
	refused(t, try("AAAA.BBBB", "a.example"), "malformed")
	refused(t, try("nonsense", "a.example"), "malformed")
	refused(t, try(id, "c.example"), "malformed") // shares no name

	owner := k.acct
	k.acct = k.register()
	refused(t, try(id, "a.example"), "unauthorized")
	k.acct = owner

	k.issue(acme.OrderRequest{Names: names(t, "b.example", "c.example"), Replaces: id})
	refused(t, try(id, "a.example"), "alreadyReplaced")
}

func TestAReplacementThatFailedMayBeTriedAgain(t *testing.T) {
	k := start(t, fakeca.Options{})
	leaf, _ := k.issue(acme.OrderRequest{Names: names(t, "a.example")})
	req := acme.OrderRequest{Names: names(t, "a.example", "b.example"), Replaces: ariID(t, leaf)}
	o := k.order(req)
	_, err := k.client.NewOrder(t.Context(), k.acct, req)
	refused(t, err, "alreadyReplaced")
	if _, err := k.client.DeactivateAuthorization(t.Context(), k.acct, o.Authorizations[1]); err != nil {
		t.Fatal(err)
	}
	k.issue(req)
}

func TestOnlyInsideTheWindowLimitsDoNotCount(t *testing.T) {
	for _, c := range []struct {
		what string
		at   func(w acme.Window) time.Time
		want string
	}{
		{"just before it", func(w acme.Window) time.Time { return w.Start.Add(-time.Nanosecond) }, "rateLimited"},
		{"at its start", func(w acme.Window) time.Time { return w.Start }, ""},
		{"at its last instant", func(w acme.Window) time.Time { return w.End.Add(-time.Nanosecond) }, ""},
		{"at its end", func(w acme.Window) time.Time { return w.End }, "rateLimited"},
	} {
		k := start(t, fakeca.Options{Limits: []fakeca.Limit{{Name: fakeca.PerSet, Count: 1, Period: 3650 * day}}})
		req := acme.OrderRequest{Names: names(t, "a.example")}
		leaf, _ := k.issue(req)
		req.Replaces = ariID(t, leaf)
		w, err := k.client.RenewalInfo(t.Context(), req.Replaces)
		if err != nil {
			t.Fatal(err)
		}
		k.pass(c.at(w).Sub(k.now()))
		_, _, err = k.tryIssue(req)
		if c.want == "" && err != nil || c.want != "" && !acme.Is(err, c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
		if s := k.ca.Stats(); c.want == "" && (s.InWindow != 1 || s.Early+s.Late != 0) {
			t.Errorf("%s: counted as %+v", c.what, s)
		}
	}
}

func TestMassRevocationHitsAShareAndHurriesIt(t *testing.T) {
	k := start(t, fakeca.Options{Seed: 3, Lean: true})
	var ids []string
	for i := range 200 {
		leaf, _ := k.issue(acme.OrderRequest{Names: names(t, host(i))})
		ids = append(ids, ariID(t, leaf))
	}
	n := k.ca.MassRevoke(4, k.ca.Some(0.3))
	if n < 40 || n > 80 {
		t.Errorf("%d of 200 revoked, want some 60", n)
	}
	past := 0
	for _, id := range ids {
		w, err := k.client.RenewalInfo(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if w.End.Equal(t0.Add(-30*time.Minute)) && w.ExplanationURL != "" {
			past++
		}
	}
	if past != n {
		t.Errorf("%d windows lie half an hour in the past, want %d", past, n)
	}
	if again := k.ca.MassRevoke(4, k.ca.Some(0.3)); again != 0 {
		t.Errorf("%d revoked twice", again)
	}
	if all := k.ca.Hurry(nil); all != 200 {
		t.Errorf("%d hurried of 200", all)
	}
}
