package dnsq_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/miekg/dns"
)

const record = "_acme-challenge.www.example.org."

func lab(t *testing.T, records ...string) (*solvertest.DNS, *dnsq.Resolver) {
	d := solvertest.Serve(t, append(solvertest.Zone("example.org.", 3), records...)...)
	return d, &dnsq.Resolver{Servers: []string{d.Addr()}, Port: d.Port, Timeout: trial.Patience}
}

// hasty is a resolver for servers of which some say nothing.
func hasty(r *dnsq.Resolver) *dnsq.Resolver {
	return &dnsq.Resolver{Servers: r.Servers, Port: r.Port, Timeout: time.Second}
}

func TestZoneIsTheNearestCut(t *testing.T) {
	d, r := lab(t, "alias.example.org. 60 IN CNAME deep.sub.example.org.")
	d.Add(t, solvertest.Zone("sub.example.org.", 1)...)
	for name, want := range map[string]string{
		"example.org":               "example.org.",
		"www.example.org.":          "example.org.",
		record:                      "example.org.",
		"a.b.c.sub.example.org":     "sub.example.org.",
		"SUB.Example.org":           "sub.example.org.",
		"alias.example.org":         "example.org.", // not the zone of the CNAME's end
		"nothing.alias.example.org": "example.org.",
	} {
		zone, err := r.Zone(t.Context(), name)
		if err != nil || zone != want {
			t.Errorf("zone of %s is %q, %v; want %q", name, zone, err, want)
		}
		at, err := r.ZoneAt(t.Context(), d.Addr(), name)
		if err != nil || at != want {
			t.Errorf("zone of %s at the server is %q, %v; want %q", name, at, err, want)
		}
	}
	if _, err := r.Zone(t.Context(), "www.elsewhere.test"); certfleet.KindOf(err) != certfleet.NotFound || certfleet.AdviceOf(err) == "" {
		t.Errorf("a name without zone gave %v", err)
	}
}

func TestProblemsAreToldApart(t *testing.T) {
	d, r := lab(t, "empty.example.org. 60 IN A 127.0.0.1")
	d.Fail("", "broken.example.org.", dns.RcodeServerFailure)
	d.Fail("", "bogus.example.org.", solvertest.Bogus)
	d.Fail("", "refused.example.org.", dns.RcodeRefused)
	d.Fail("", "silent.example.org.", solvertest.Silent)
	for name, c := range map[string]struct {
		want error
		word string
	}{
		"gone.example.org":    {dnsq.ErrNotExist, "NXDOMAIN"},
		"broken.example.org":  {dnsq.ErrServer, "SERVFAIL"},
		"refused.example.org": {dnsq.ErrServer, "REFUSED"},
		"silent.example.org":  {dnsq.ErrSilent, "no answer within 1s"},
		"bogus.example.org":   {dnsq.ErrServer, "DNSSEC does not validate"},
	} {
		ask := r
		if c.want == dnsq.ErrSilent {
			ask = hasty(r)
		}
		_, err := ask.TXT(t.Context(), name)
		for _, other := range []error{dnsq.ErrNotExist, dnsq.ErrServer, dnsq.ErrSilent} {
			if errors.Is(err, other) != (other == c.want) {
				t.Errorf("%s: %v is %q: %v", name, err, other, other != c.want)
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v does not say %q", name, err, c.word)
		}
	}
	if values, err := r.TXT(t.Context(), "empty.example.org"); err != nil || len(values) > 0 {
		t.Errorf("a name without TXT gave %q, %v", values, err)
	}
	if bogus, _ := r.TXT(t.Context(), "broken.example.org"); bogus != nil {
		t.Error("values from a failing server")
	}
	_, err := r.TXT(t.Context(), "broken.example.org")
	if p, _ := errors.AsType[*dnsq.Problem](err); p == nil || p.Bogus {
		t.Errorf("a plainly broken server was taken for broken DNSSEC: %v", err)
	}
}

func TestNextRecursiveServerIsAsked(t *testing.T) {
	d, r := lab(t, "www.example.org. 60 IN TXT here")
	r.Servers = []string{"127.0.0.2", "127.0.0.1:1", d.Addr()}
	r.Servers[0] = dnsq.WithPort(r.Servers[0], r.Servers[2][strings.LastIndex(r.Servers[2], ":")+1:])
	d.Fail("127.0.0.2", "", dns.RcodeServerFailure)
	if values, err := r.TXT(t.Context(), "www.example.org"); err != nil || !slices.Equal(values, []string{"here"}) {
		t.Errorf("got %q, %v", values, err)
	}
}

func TestAnswersSurviveOddServers(t *testing.T) {
	d, r := lab(t, `www.example.org. 60 IN TXT "one " "text"`)
	for how, mark := range map[string]int{"cut over UDP": solvertest.Truncate, "without EDNS": solvertest.NoEDNS} {
		d.Fail("", "", mark)
		if values, err := r.TXT(t.Context(), "www.example.org"); err != nil || !slices.Equal(values, []string{"one text"}) {
			t.Errorf("%s: got %q, %v", how, values, err)
		}
	}
	if d.Asked("tcp", "127.0.0.1", "www.example.org.") == 0 {
		t.Error("a cut answer was not asked for over TCP")
	}
}

func TestAddressesOfBothFamilies(t *testing.T) {
	_, r := lab(t, "two.example.org. 60 IN AAAA 2001:db8::1", "two.example.org. 60 IN A 192.0.2.9",
		"two.example.org. 60 IN A 192.0.2.1", "text.example.org. 60 IN TXT x", "c.example.org. 60 IN CNAME two.example.org.")
	for _, name := range []string{"two.example.org", "c.example.org"} {
		got, err := r.Addresses(t.Context(), name)
		if err != nil || len(got) != 3 || got[0].String() != "192.0.2.1" || got[2].String() != "2001:db8::1" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := r.Addresses(t.Context(), "text.example.org"); err != nil || len(got) != 0 {
		t.Errorf("a name without address gave %v, %v", got, err)
	}
	if _, err := r.Addresses(t.Context(), "gone.example.org"); !errors.Is(err, dnsq.ErrNotExist) || strings.Count(err.Error(), "NXDOMAIN") != 1 {
		t.Errorf("a name that does not exist gave %v", err)
	}
}

func TestFollowEndsAndFindsLoops(t *testing.T) {
	_, r := lab(t, record+" 60 IN CNAME one.example.org.", "one.example.org. 60 IN CNAME two.elsewhere.test.",
		"loop-a.example.org. 60 IN CNAME loop-b.example.org.", "loop-b.example.org. 60 IN CNAME loop-a.example.org.")
	if end, err := r.Follow(t.Context(), record); err != nil || end != "two.elsewhere.test." {
		t.Errorf("ended at %q, %v", end, err)
	}
	if end, err := r.Follow(t.Context(), "none.example.org"); err != nil || end != "none.example.org." {
		t.Errorf("a name without CNAME ended at %q, %v", end, err)
	}
	if _, err := r.Follow(t.Context(), "loop-a.example.org"); certfleet.AdviceOf(err) == "" {
		t.Errorf("a loop gave %v", err)
	}
}

func TestCAAIsFoundByClimbing(t *testing.T) {
	d, r := lab(t, `example.org. 60 IN CAA 0 issue "ca.test"`, `example.org. 60 IN CAA 128 unknown "x"`,
		`own.example.org. 60 IN CAA 0 issue ";"`, "a.own.example.org. 60 IN A 127.0.0.1",
		"alias.example.org. 60 IN CNAME own.example.org.")
	for name, want := range map[string]string{
		"www.example.org":      "example.org.",
		"no.such.example.org":  "example.org.",
		"a.own.example.org":    "own.example.org.",
		"own.example.org":      "own.example.org.",
		"free.elsewhere.test.": "",
	} {
		set, err := r.CAA(t.Context(), name)
		if err != nil || set.At != want {
			t.Errorf("CAA of %s found at %q, %v; want %q", name, set.At, err, want)
		}
	}
	set, _ := r.CAA(t.Context(), "example.org")
	if len(set.Records) != 2 || set.Records[0] != (dnsq.CAA{Tag: "issue", Value: "ca.test"}) || !set.Records[1].Critical {
		t.Errorf("records are %+v", set.Records)
	}
	if set, _ := r.CAA(t.Context(), "alias.example.org"); len(set.Records) != 1 || set.Records[0].Value != ";" {
		t.Errorf("a CNAME led to %+v", set)
	}
	d.Fail("", "own.example.org.", dns.RcodeServerFailure)
	if _, err := r.CAA(t.Context(), "a.b.own.example.org"); !errors.Is(err, dnsq.ErrServer) {
		t.Errorf("a failing server is no permission, yet the error is %v", err)
	}
}

func TestLookAsksEveryNameServer(t *testing.T) {
	trial.InFull(t)
	d, r := lab(t, record+` 0 IN TXT "wanted"`, record+` 0 IN TXT "other"`)
	for _, c := range []struct {
		what  string
		fault map[string]int
		ready bool
		says  []string
	}{
		{"all show it", nil, true, []string{"at 3 of 3 servers", "ns2.example.org. (127.0.0.2) shows it"}},
		{"one lags", map[string]int{"127.0.0.2": solvertest.Hide}, false, []string{"2 of 3", "ns2.example.org. (127.0.0.2) has no such record"}},
		{"one is down", map[string]int{"127.0.0.3": solvertest.Silent}, true, []string{"ns3.example.org. (127.0.0.3) gave no answer: no answer within"}},
		{"two are down", map[string]int{"127.0.0.3": solvertest.Silent, "127.0.0.2": dns.RcodeRefused}, false, []string{"REFUSED"}},
		{"one is lame", map[string]int{"127.0.0.2": solvertest.Lame}, true, []string{"does not speak for the zone"}},
	} {
		for addr, how := range c.fault {
			d.Fail(addr, record, how)
		}
		ask := r
		if c.fault["127.0.0.3"] == solvertest.Silent {
			ask = hasty(r)
		}
		v, err := ask.Look(t.Context(), record, "wanted")
		if err != nil || v.Ready() != c.ready {
			t.Errorf("%s: ready %v, %v", c.what, v.Ready(), err)
		}
		for _, say := range c.says {
			if !strings.Contains(v.String(), say) {
				t.Errorf("%s: %q does not say %q", c.what, v, say)
			}
		}
		d.Heal()
	}
	v, err := r.Look(t.Context(), record, "absent")
	if err != nil || v.Ready() || !strings.Contains(v.String(), "has 2 other values there") {
		t.Errorf("an absent value: %v, %v", v, err)
	}
}

func TestLookFollowsTheCNAME(t *testing.T) {
	d, r := lab(t, record+" 60 IN CNAME here.delegated.test.", `here.delegated.test. 0 IN TXT "wanted"`)
	d.Add(t, solvertest.Zone("delegated.test.", 1)...)
	alias, err := r.LookCNAME(t.Context(), record, "here.delegated.test")
	if err != nil || !alias.Ready() || !strings.Contains(alias.String(), record+" CNAME at 3 of 3") {
		t.Errorf("the CNAME itself: %v, %v", alias, err)
	}
	v, err := r.Look(t.Context(), record, "wanted")
	if err != nil || !v.Ready() || v.Zone != "delegated.test." || v.Name != "here.delegated.test." {
		t.Errorf("%v, zone %q, %v", v, v.Zone, err)
	}
}

func TestQuestionsEndWithTheContext(t *testing.T) {
	d, r := lab(t)
	d.Fail("", "", solvertest.Silent)
	r.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := r.Zone(ctx, "www.example.org"); err == nil || time.Since(begin) > 30*time.Second {
		t.Errorf("took %v, %v", time.Since(begin), err)
	}
}
