package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

const us = "https://ca.example/acct/1"

func parse(t testing.TB, list ...string) []certfleet.Name {
	t.Helper()
	out, err := certfleet.ParseNames(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lines are touches as text: limit, account or *, subject, and what is not asked for.
func lines(ts []Touch) []string {
	var out []string
	for _, t := range ts {
		who := "*"
		if t.Key.Account != "" {
			who = "us"
		}
		s := strings.TrimSpace(fmt.Sprintf("%s %s %s", t.Key.Limit, who, t.Key.Subject))
		if t.Free {
			s += " free"
		}
		out = append(out, s)
	}
	return out
}

func TestAnOrderTouchesTheBucketsThatTheCACounts(t *testing.T) {
	two := parse(t, "b.shop.example.co.uk", "a.shop.example.co.uk")
	names := []string{
		"failed-validations us b.shop.example.co.uk", "consecutive-failures us b.shop.example.co.uk",
		"failed-validations us a.shop.example.co.uk", "consecutive-failures us a.shop.example.co.uk",
	}
	set := "certificates-per-set * a.shop.example.co.uk,b.shop.example.co.uk"
	for what, c := range map[string]struct {
		authority string
		asking    Asking
		want      []string
	}{
		"first":    {"letsencrypt", Asking{Names: two}, append([]string{"new-orders us", "certificates-per-domain * example.co.uk", set}, names...)},
		"same set": {"letsencrypt", Asking{Names: two, SameSet: true}, append([]string{set}, names...)},
		"in its window": {"letsencrypt", Asking{Names: two[1:], InWindow: true, SameSet: true}, []string{
			"certificates-per-set * a.shop.example.co.uk free", "failed-validations us a.shop.example.co.uk free", "consecutive-failures us a.shop.example.co.uk"}},
		"in its window, another set": {"letsencrypt", Asking{Names: two[1:], InWindow: true}, []string{
			"certificates-per-domain * example.co.uk free", "certificates-per-set * a.shop.example.co.uk free",
			"failed-validations us a.shop.example.co.uk free", "consecutive-failures us a.shop.example.co.uk"}},
		"answer lost": {"letsencrypt", Asking{Names: two, Again: true}, []string{"new-orders us"}},
		"staging":     {"letsencrypt-staging", Asking{Names: two[:1]}, []string{"new-orders us", "certificates-per-set * b.shop.example.co.uk", "failed-validations us b.shop.example.co.uk"}},
		"wildcard": {"letsencrypt", Asking{Names: parse(t, "*.a.example", "a.example"), SameSet: true}, []string{
			"certificates-per-set * *.a.example,a.example", "failed-validations us a.example", "consecutive-failures us a.example"}},
		"a CA that publishes nothing": {"elsewhere", Asking{Names: two}, nil},
	} {
		c.asking.Account = us
		if got := lines(NewBook(c.authority, nil).Touches(c.asking)); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", what, got, c.want)
		}
	}
}

func TestAddressesAreCountedByTheirNetwork(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "www.example.co.uk": "example.co.uk", "*.x.example.org": "example.org"} {
		if got := CountedAs(parse(t, in)[0]); got != want {
			t.Errorf("%s is counted as %s, want %s", in, got, want)
		}
	}
}

func TestTheMostSpecificOverrideHolds(t *testing.T) {
	b := NewBook("letsencrypt", []Override{
		{Authority: "letsencrypt", Limit: Limit{Name: NewOrders, Count: 1000, Period: 3 * time.Hour}},
		{Authority: "letsencrypt", Account: us, Limit: Limit{Name: NewOrders, Count: 5000, Period: 3 * time.Hour}},
		{Authority: "other", Account: us, Limit: Limit{Name: NewOrders, Count: 1, Period: day}},
		{Domain: "host.example", Limit: Limit{Name: PerDomain, Count: 700, Period: week}},
		{Authority: "letsencrypt", Account: us, Limit: Limit{Name: PerDomain, Count: 90, Period: week}},
	})
	for what, c := range map[string]struct {
		account, name string
		limit         LimitName
		want          []int
	}{
		"an account's orders":            {us, "a.example", NewOrders, []int{5000}},
		"another account's orders":       {"them", "a.example", NewOrders, []int{1000}},
		"an account's domains":           {us, "x.customer.example", PerDomain, []int{90, 50}},
		"a domain that has its own":      {us, "x.host.example", PerDomain, []int{700}},
		"the same domain, other account": {"them", "x.host.example", PerDomain, []int{700}},
	} {
		var got []int
		for _, touch := range b.Touches(Asking{Account: c.account, Names: parse(t, c.name)}) {
			if touch.Key.Limit == c.limit {
				got = append(got, touch.Limit.Count)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}

func TestAnOperatorCanGiveLimitsToAnyCA(t *testing.T) {
	b := NewBook("private", []Override{{Authority: "private", Limit: Limit{Name: NewOrders, Count: 10, Period: time.Hour}}})
	if got := b.Limits(); len(got) != 1 || got[0].Count != 10 {
		t.Errorf("limits are %+v", got)
	}
	got := lines(b.Touches(Asking{Account: us, Names: parse(t, "a.example"), InWindow: true, SameSet: true}))
	if !slices.Equal(got, []string{"new-orders us"}) {
		t.Errorf("touches %q; where nobody knows, nothing is exempt", got)
	}
}

func TestTheWindowsEndIsOutside(t *testing.T) {
	w := Window{t0, t0.Add(time.Hour)}
	for at, want := range map[time.Duration]bool{-1: false, 0: true, time.Hour - 1: true, time.Hour: false} {
		if got := w.Holds(t0.Add(at)); got != want {
			t.Errorf("%s after the start: %v", at, got)
		}
	}
}

func TestASuccessForgetsConsecutiveFailures(t *testing.T) {
	touch := Touch{Key: Key{Limit: ConsecutiveFailures}, Limit: Published("letsencrypt")[6], When: Failed}
	b := Bucket{}
	for range 700 {
		b, _, _ = touch.Open(b, t0)
		b = touch.Close(b, t0, true)
	}
	if left := Left(b, touch.Limit, t0); left != 452 {
		t.Fatalf("%d failures left of 1152 after 700", left)
	}
	b, _, _ = touch.Open(b, t0)
	if left := Left(touch.Close(b, t0, false), touch.Limit, t0); left != 1152 {
		t.Errorf("%d failures left after a success", left)
	}
}

func TestKeysComeBackFromText(t *testing.T) {
	for _, touch := range NewBook("letsencrypt", nil).Touches(Asking{Account: us, Names: parse(t, "a.example", "*.b.example")}) {
		if got, ok := ParseKey(touch.Key.String()); !ok || got != touch.Key {
			t.Errorf("%q comes back as %+v", touch.Key.String(), got)
		}
	}
	if _, ok := ParseKey("letsencrypt|x"); ok {
		t.Error("half a key is read")
	}
}

func TestALargeSetHasAShortKeyOfItsOwn(t *testing.T) {
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf("host-%03d.long-name-of-a-customer.example", i))
	}
	all := parse(t, list...)
	a, b := setSubject(all), setSubject(all[:99])
	if a == b || len(a) > 260 || !strings.HasPrefix(a, "host-000.long-name-of-a-customer.example and 99 more ") {
		t.Errorf("keys %q and %q", a, b)
	}
}

func TestACAIsKnownByItsDirectory(t *testing.T) {
	for url, want := range map[string]string{"https://acme-v02.api.letsencrypt.org/directory": "letsencrypt", "https://ca.internal/directory": "mine"} {
		if got := BookName("mine", url); got != want {
			t.Errorf("limits of %s are kept under %q, want %q", url, got, want)
		}
	}
}
