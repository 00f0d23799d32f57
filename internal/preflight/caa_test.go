package preflight

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
)

const acct = "https://acme.ca.test/acct/7"

func TestCAALetsIssueOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	issue := func(v ...string) (out []dnsq.CAA) {
		for _, s := range v {
			out = append(out, dnsq.CAA{Tag: "issue", Value: s})
		}
		return out
	}
	wild := func(v string) dnsq.CAA { return dnsq.CAA{Tag: "issuewild", Value: v} }
	for _, c := range []struct {
		what    string
		records []dnsq.CAA
		name    string
		typ     certfleet.ChallengeType
		says    string // empty when the CA may issue
	}{
		{what: "no record"},
		{what: "the CA itself", records: issue("ca.test")},
		{what: "in capitals, with a dot and spaces", records: issue(" CA.Test. ; ")},
		{what: "another name of the CA", records: issue("ca.example")},
		{what: "one of several", records: issue("other.test", "ca.test")},
		{what: "only a mailbox", records: []dnsq.CAA{{Tag: "iodef", Value: "mailto:x@example.org"}}},
		{what: "another CA", records: issue("other.test"), says: `issue "other.test"`},
		{what: "nobody", records: issue(";"), says: "do not let ca.test issue"},
		{what: "nobody, and the CA", records: issue(";", "ca.test")},
		{what: "malformed", records: issue("ca.test; what is this"), says: "do not let"},
		{what: "a tag in capitals", records: []dnsq.CAA{{Tag: "ISSUE", Value: "other.test"}}, says: "do not let"},

		{what: "issuewild is for wildcards alone", records: []dnsq.CAA{wild(";")}},
		{what: "issuewild decides for a wildcard", records: append(issue("ca.test"), wild("other.test")), name: "*.example.org", typ: certfleet.DNS01, says: `issuewild "other.test"`},
		{what: "issuewild allows what issue does not", records: append(issue(";"), wild("ca.test")), name: "*.example.org", typ: certfleet.DNS01},
		{what: "issue decides for a wildcard without issuewild", records: issue("other.test"), name: "*.example.org", typ: certfleet.DNS01, says: "do not let"},

		{what: "our account", records: issue("ca.test; accounturi=" + acct)},
		{what: "another account", records: issue("ca.test; accounturi=https://acme.ca.test/acct/8"), says: "lets another account issue"},
		{what: "another account, and ours", records: issue("ca.test; accounturi=https://acme.ca.test/acct/8", "ca.test;accounturi="+acct)},
		{what: "two accounts in one property", records: issue("ca.test; accounturi=" + acct + "; accounturi=" + acct), says: "several accounts"},
		{what: "our challenge type", records: issue("ca.test; validationmethods=dns-01,http-01")},
		{what: "other challenge types", records: issue("ca.test; validationmethods=dns-01"), says: "allows the challenge types"},
		{what: "dns-01 for a wildcard", records: issue("ca.test; validationmethods=dns-01"), name: "*.example.org", typ: certfleet.DNS01},
		{what: "a parameter that nobody knows", records: issue("ca.test; colour=blue")},

		{what: "critical and unknown", records: append(issue("ca.test"), dnsq.CAA{Critical: true, Tag: "tbs", Value: "x"}), says: `critical property "tbs"`},
		{what: "unknown and not critical", records: append(issue("ca.test"), dnsq.CAA{Tag: "tbs", Value: "x"})},
		{what: "critical and known", records: []dnsq.CAA{{Critical: true, Tag: "issue", Value: "ca.test"}}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.name == "" {
				c.name, c.typ = "www.example.org", certfleet.HTTP01
			}
			f, ok := judgeCAA(dnsq.CAASet{At: "example.org.", Records: c.records}, parse(t, c.name), c.typ, CA{"first", []string{"ca.test", "ca.example"}, acct})
			switch {
			case ok != (c.says == ""):
				t.Errorf("may issue: %v; %+v", ok, f)
			case !ok && (!strings.Contains(f.Seen, c.says) || f.Class != Forbidden || f.Authority != "first" || !f.Certain || f.Advice == ""):
				t.Errorf("%+v does not say %q for certain", f, c.says)
			}
		})
	}
}

func TestAnAccountWithoutURLIsNoCertainty(t *testing.T) {
	t.Parallel()
	set := dnsq.CAASet{At: "example.org.", Records: []dnsq.CAA{{Tag: "issue", Value: "ca.test; accounturi=" + acct}}}
	if f, ok := judgeCAA(set, parse(t, "example.org"), certfleet.HTTP01, CA{Identities: []string{"ca.test"}}); ok || f.Certain {
		t.Errorf("may issue %v, certain %v, %s", ok, f.Certain, f.Seen)
	}
}

// TestCAAIsAskedForAllAuthorities finds the backup authority barred while the
// first may issue: an order at the first goes out, one at the other does not.
func TestCAAIsAskedForAllAuthorities(t *testing.T) {
	t.Parallel()
	l := newLab(t, "www.example.org. 60 IN A 127.0.0.2", `example.org. 60 IN CAA 0 issue "first.test"`)
	l.web("127.0.0.2", ping)
	both := func(q *Question) {
		q.Authorities = []CA{{Label: "first", Identities: []string{"first.test"}}, {Label: "backup", Identities: []string{"backup.test"}}, {Label: "mute"}}
	}
	r := l.ask("www.example.org", certfleet.HTTP01, both)
	if _, stop := r.Stop("first"); stop {
		t.Errorf("the first authority is stopped: %+v", r.Findings)
	}
	if f, stop := r.Stop("backup"); !stop || f.Class != Forbidden || !strings.Contains(f.Advice, `CAA 0 issue "backup.test"`) {
		t.Errorf("the backup authority is not stopped: %+v", r.Findings)
	}
	if _, stop := r.Stop("mute"); stop {
		t.Errorf("an authority without a name in CAA is stopped: %+v", r.Findings)
	}
}

func TestBrokenCAAIsNoPermission(t *testing.T) {
	t.Parallel()
	l := newLab(t, "www.example.org. 60 IN A 127.0.0.2", "bogus.example.org. 60 IN A 127.0.0.2")
	l.web("127.0.0.2", ping)
	l.dns.Fail("", "example.org.", solvertest.Silent)
	some := func(q *Question) { q.Authorities = []CA{{Label: "first", Identities: []string{"first.test"}}} }
	expect{DNS, false, "whether a CA may issue"}.check(t, l.hasty().ask("www.example.org", certfleet.HTTP01, some))
	l.dns.Fail("", "example.org.", solvertest.Bogus)
	expect{DNSSEC, true, "DNSSEC does not validate"}.check(t, l.ask("bogus.example.org", certfleet.HTTP01, some))
}
