package preflight

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/miekg/dns"
)

func TestNamesThatCannotBeReachedAreToldApart(t *testing.T) {
	t.Parallel()
	l := newLab(t,
		"mail.example.org. 60 IN MX 10 mx.example.org.",
		"dangling.example.org. 60 IN CNAME customer.elsewhere.test.",
		"inside.example.org. 60 IN A 10.0.0.7",
		"broken.example.org. 60 IN A 127.0.0.2", "bogus.example.org. 60 IN A 127.0.0.2", "silent.example.org. 60 IN A 127.0.0.2",
		"shut.example.org. 60 IN A 127.0.0.9")
	l.dns.Fail("", "broken.example.org.", dns.RcodeServerFailure)
	l.dns.Fail("", "bogus.example.org.", solvertest.Bogus)
	l.dns.Fail("", "silent.example.org.", solvertest.Silent)
	for name, want := range map[string]expect{
		"no.example.org":       {Gone, true, "NXDOMAIN"},
		"mail.example.org":     {Gone, true, "no A, no AAAA"},
		"dangling.example.org": {Gone, true, "leads to customer.elsewhere.test"},
		"inside.example.org":   {PortClosed, false, "10.0.0.7 is not a public address"},
		"10.0.0.8":             {PortClosed, true, "10.0.0.8 is not a public address"},
		"broken.example.org":   {DNS, false, "SERVFAIL"},
		"bogus.example.org":    {DNSSEC, true, "DNSSEC does not validate"},
		"silent.example.org":   {DNS, false, "no answer"},
		"shut.example.org":     {PortClosed, false, "127.0.0.9 does not answer: the connection is refused"},
	} {
		t.Run(name, func(t *testing.T) {
			here := &lab{t, l.dns, l.deps}
			if strings.HasPrefix(name, "silent.") {
				here = here.hasty()
			}
			want.check(t, here.ask(name, certfleet.HTTP01))
		})
	}
}

// TestAStaleNXDOMAINIsNotCertain has a recursive server that still remembers
// that the name was not there, while the zone's own server has it.
func TestAStaleNXDOMAINIsNotCertain(t *testing.T) {
	t.Parallel()
	fresh := newLab(t, "new.example.org. 60 IN A 127.0.0.2")
	stale := solvertest.Serve(t, solvertest.Zone("example.org.", 1)...)
	fresh.deps.DNS.Servers = []string{stale.Addr()}
	expect{Gone, false, "own servers know it"}.check(t, fresh.ask("new.example.org", certfleet.HTTP01))
	fresh.dns.Fail("", "new.example.org.", solvertest.Hide)
	expect{Gone, true, "NXDOMAIN"}.check(t, fresh.ask("new.example.org", certfleet.HTTP01))
}

func TestANameIsElsewhereOnlyWhenWeDoNotAnswerThere(t *testing.T) {
	t.Parallel()
	l := newLab(t,
		"here.example.org. 60 IN A 127.0.0.2", "proxied.example.org. 60 IN A 127.0.0.3", "left.example.org. 60 IN A 127.0.0.4",
		"alias.example.org. 60 IN CNAME edge.ours.test.", "edge.ours.test. 60 IN A 127.0.0.4",
		"other.example.org. 60 IN CNAME edge.theirs.test.", "edge.theirs.test. 60 IN A 127.0.0.4")
	l.web("127.0.0.2", ping)
	l.web("127.0.0.3", ping) // somebody's proxy that leads to us
	l.web("127.0.0.4", nothing)
	known := func(q *Question) {
		q.Ours, q.Aliases = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, []string{"edge.ours.test"}
	}
	for name, want := range map[string]expect{
		"here.example.org":    {},
		"proxied.example.org": {},
		"left.example.org":    {Elsewhere, true, "left.example.org points to 127.0.0.4, which is not ours"},
		"alias.example.org":   {WrongAnswer, false, "status 404"},
		"other.example.org":   {Elsewhere, true, "through edge.theirs.test"},
	} {
		want.check(t, l.ask(name, certfleet.HTTP01, known))
	}
	expect{WrongAnswer, false, "status 404"}.check(t, l.ask("left.example.org", certfleet.HTTP01))
}

func TestTheTXTRecordMustBePossible(t *testing.T) {
	t.Parallel()
	many := make([]string, 0, 50)
	for i := range 50 {
		many = append(many, fmt.Sprintf("_acme-challenge.many.example.org. 60 IN TXT old-%d", i))
	}
	l := newLab(t, append(many,
		"_acme-challenge.moved.example.org. 60 IN CNAME moved.delegated.test.", "delegated.test. 60 IN SOA ns.delegated.test. a.delegated.test. 1 60 60 60 60",
		"_acme-challenge.loop.example.org. 60 IN CNAME b.example.org.", "b.example.org. 60 IN CNAME _acme-challenge.loop.example.org.")...)
	l.dns.Fail("", "_acme-challenge.bogus.example.org.", solvertest.Bogus)
	l.dns.Fail("", "_acme-challenge.silent.example.org.", solvertest.Silent)
	for name, want := range map[string]expect{
		"new.example.org":    {}, // neither the name nor the record needs to be there yet
		"*.new.example.org":  {},
		"moved.example.org":  {},
		"many.example.org":   {WrongAnswer, false, "50 TXT records"},
		"loop.example.org":   {WrongAnswer, true, "do not end"},
		"bogus.example.org":  {DNSSEC, true, "DNSSEC does not validate"},
		"silent.example.org": {DNS, false, "no answer"},
		"unregistered.org":   {Gone, true, "not registered"},
	} {
		t.Run(name, func(t *testing.T) {
			here := &lab{t, l.dns, l.deps}
			if strings.HasPrefix(name, "silent.") {
				here = here.hasty()
			}
			want.check(t, here.ask(name, certfleet.DNS01))
		})
	}
}
