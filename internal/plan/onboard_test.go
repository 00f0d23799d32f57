package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

// alone are n names, each of its own registered domain; under are n names of one.
func alone(t *testing.T, n int) (out []Wish) {
	for i := range n {
		out = append(out, Wish{Names: parse(t, fmt.Sprintf("shop%d.example", i))})
	}
	return out
}

func under(t *testing.T, n int) (out []Wish) {
	for i := range n {
		out = append(out, Wish{Names: parse(t, fmt.Sprintf("shop%d.host.example", i))})
	}
	return out
}

func TestOnboardingIsBoundByTheLimitThatTakesLongest(t *testing.T) {
	couple := []Wish{{Label: "a", Names: parse(t, "a.example", "www.a.example")}, {Label: "b", Names: parse(t, "b.example", "www.b.example")}}
	for _, c := range []struct {
		what      string
		authority string
		wishes    []Wish
		overrides []Override
		packing   string
		certs     int
		takes     time.Duration
		binds     LimitName
	}{
		{"few", "letsencrypt", alone(t, 300), nil, "single", 300, 0, ""},
		{"one more", "letsencrypt", alone(t, 301), nil, "single", 301, 36 * time.Second, NewOrders},
		{"own domains gain nothing by packing", "letsencrypt", alone(t, 1300), nil, "packed", 1300, 10 * time.Hour, NewOrders},
		{"one domain, one by one", "letsencrypt", under(t, 150), nil, "single", 150, 14 * day, PerDomain},
		{"one domain, packed", "letsencrypt", under(t, 150), nil, "packed", 6, 0, ""},
		{"a great domain, packed", "letsencrypt", under(t, 2500), nil, "packed", 100, week, PerDomain},
		{"an override of orders", "letsencrypt", alone(t, 1300), []Override{{Limit: Limit{Name: NewOrders, Count: 1000, Period: 3 * time.Hour}}}, "single", 1300, 3240 * time.Second, NewOrders},
		{"an override for the domain", "letsencrypt", under(t, 150), []Override{{Domain: "host.example", Limit: Limit{Name: PerDomain, Count: 200, Period: week}}}, "single", 150, 0, ""},
		{"as listed", "letsencrypt", couple, nil, "listed", 2, 0, ""},
		{"listed, but one each", "letsencrypt", couple, nil, "single", 4, 0, ""},
		{"the same set seven times", "letsencrypt", []Wish{couple[0], couple[0], couple[0], couple[0], couple[0], couple[0], couple[0]}, nil, "listed", 7, 2 * 7 * day / 5, PerSet},
		{"nothing is published", "elsewhere", alone(t, 5000), nil, "single", 5000, 0, ""},
	} {
		b := NewBook(c.authority, c.overrides)
		var got Onboarding
		for _, o := range Onboard(b, us, c.wishes, 25, day) {
			if o.Packing == c.packing {
				got = o
			}
		}
		if diff := got.Takes - c.takes; got.Certificates != c.certs || diff < -time.Second || diff > time.Second || got.Binds != c.binds {
			t.Errorf("%s: %d certificates in %s, bound by %q; want %d in %s by %q", c.what, got.Certificates, got.Takes, got.Binds, c.certs, c.takes, c.binds)
		}
	}
}

func TestWhatToAskForIsEnough(t *testing.T) {
	for _, c := range []struct {
		wishes []Wish
		within time.Duration
		ask    bool
	}{
		{alone(t, 5000), day, true}, {alone(t, 5000), time.Hour, true}, {under(t, 400), week, true}, {alone(t, 2000), day, false},
	} {
		o := Onboard(NewBook("letsencrypt", nil), us, c.wishes, 100, c.within)[0]
		ask := o.Bounds[0].Ask
		if (ask.Count > 0) != c.ask {
			t.Errorf("%d names within %s: asks for %+v", len(c.wishes), c.within, ask)
		}
		if !c.ask {
			continue
		}
		then := Onboard(NewBook("letsencrypt", []Override{{Limit: ask}}), us, c.wishes, 100, c.within)[0]
		for _, b := range then.Bounds {
			if b.Limit.Name == ask.Name && b.Takes > c.within {
				t.Errorf("%d names take %s with %+v, want %s", len(c.wishes), b.Takes, ask, c.within)
			}
		}
	}
}

func TestPackingLeavesNoNameOutAndMixesNoDomains(t *testing.T) {
	names := distinct(append(under(t, 60), alone(t, 3)...))
	names = append(names, parse(t, "192.0.2.1", "host.example")...)
	all := map[certfleet.Name]int{}
	for _, set := range pack(names, 25) {
		if len(set) > 25 {
			t.Errorf("a certificate with %d names", len(set))
		}
		for _, n := range set {
			all[n]++
			if CountedAs(n) != CountedAs(set[0]) {
				t.Errorf("%s is packed with %s", n, set[0])
			}
		}
	}
	if len(all) != len(names) {
		t.Errorf("%d of %d names are packed", len(all), len(names))
	}
}
