package issue_test

import (
	"testing"

	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/preflight"
)

// TestCAsWordsAreClassified has the words of Let's Encrypt and of Pebble, as
// they reach us with type and detail.
func TestCAsWordsAreClassified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want      preflight.Class
		typ, text string
	}{
		{preflight.Gone, "dns", "DNS problem: NXDOMAIN looking up A for shop.example - check that a DNS record exists for this domain"},
		{preflight.Gone, "dns", "no valid A records found for shop.example; no valid AAAA records found for shop.example"},
		{preflight.Gone, "dns", "During secondary validation: DNS problem: NXDOMAIN looking up A for shop.example - check that a DNS record exists for this domain; DNS problem: NXDOMAIN looking up AAAA for shop.example"},
		{preflight.Gone, "malformed", "Could not resolve URL \"shop.example\""},
		{preflight.Gone, "connection", `Get "http://shop.example:5002/.well-known/acme-challenge/x": dial tcp: lookup shop.example on 127.0.0.1:4053: no such host`},
		{preflight.DNS, "dns", "DNS problem: SERVFAIL looking up A for shop.example - the domain's nameservers may be malfunctioning"},
		{preflight.DNS, "dns", "DNS problem: query timed out looking up CAA for shop.example"},
		{preflight.DNS, "caa", "Rechecking CAA for \"shop.example\" and 1 more identifiers failed: DNS problem: SERVFAIL looking up CAA for shop.example"},
		{preflight.DNS, "malformed", `Error occurred while resolving URL "shop.example": "timeout"`},
		{preflight.DNSSEC, "dns", "DNS problem: looking up A for shop.example: DNSSEC: DNSKEY Missing"},
		{preflight.DNSSEC, "dns", "DNS problem: SERVFAIL looking up A for shop.example: DNSSEC: Bogus: validation failure <shop.example. A IN>"},
		{preflight.DNSSEC, "dnssec", "the zone does not verify"},
		{preflight.Forbidden, "caa", "CAA record for shop.example prevents issuance"},
		{preflight.Forbidden, "caa", "While processing CAA for shop.example: CAA record for shop.example prevents issuance"},
		{preflight.Forbidden, "unauthorized", "Error finalizing order :: Rechecking CAA: While processing CAA for shop.example: CAA record for example prevents issuance"},
		{preflight.PortClosed, "connection", "192.0.2.7: Fetching http://shop.example/.well-known/acme-challenge/x: Timeout during connect (likely firewall problem)"},
		{preflight.PortClosed, "connection", "192.0.2.7: Fetching http://shop.example/.well-known/acme-challenge/x: Connection refused"},
		{preflight.PortClosed, "connection", `Get "http://shop.example:5002/.well-known/acme-challenge/x": dial tcp 127.0.0.2:5002: connect: connection refused`},
		{preflight.PortClosed, "unauthorized", "Failed to connect to shop.example:5001 for the tls-alpn-01 challenge"},
		{preflight.PortClosed, "connection", "192.0.2.7: Error getting validation data"},
		{preflight.WrongAnswer, "connection", "192.0.2.7: Fetching http://shop.example/.well-known/acme-challenge/x: Timeout after connect (your server may be slow or overloaded)"},
		{preflight.WrongAnswer, "unauthorized", "192.0.2.7: Invalid response from http://shop.example/.well-known/acme-challenge/x: 404"},
		{preflight.WrongAnswer, "unauthorized", "The key authorization file from the server did not match this challenge \"a.b\" != \"<html>\""},
		{preflight.WrongAnswer, "connection", "192.0.2.7: Fetching https://shop.example/x: Too many redirects"},
		{preflight.WrongAnswer, "unauthorized", "No TXT record found at _acme-challenge.shop.example"},
		{preflight.WrongAnswer, "unauthorized", "Incorrect TXT record \"abc\" found at _acme-challenge.shop.example"},
		{preflight.WrongAnswer, "dns", "DNS problem: NXDOMAIN looking up TXT for _acme-challenge.shop.example - check that a DNS record exists for this domain"},
		{preflight.WrongAnswer, "unauthorized", "Correct value not found for DNS challenge"},
		{preflight.WrongAnswer, "unauthorized", `Cannot negotiate ALPN protocol "acme-tls/1" for tls-alpn-01 challenge`},
		{preflight.WrongAnswer, "tls", "192.0.2.7: remote error: tls: internal error"},
		{preflight.WrongAnswer, "notVisible", "the dns-01 record of shop.example was not visible after 10m0s"},
		{preflight.Limit, "rateLimited", "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-11-21 01:00:00 UTC"},
		{preflight.Limit, "rateLimited", "too many failed authorizations (5) for \"shop.example\" in the last 1h0m0s"},
		{preflight.Limit, "rateLimited", "Your account is temporarily prevented from requesting certificates for shop.example and possibly others. Please visit: https://sfe.example/"},
		{preflight.Limit, "", "status 429 Too Many Requests with text/html instead of an explanation: slow down"},
		{preflight.CADown, "serverInternal", "The service is down for maintenance or had an internal error. Check https://letsencrypt.status.io/ for more details."},
		{preflight.CADown, "serverInternal", "Remote PerformValidation RPC failed"},
		{preflight.CADown, "unreachable", "dial tcp 192.0.2.1:443: connect: connection refused"},
		{preflight.CADown, "", "status 503 Service Unavailable with text/html instead of an explanation"},
		{preflight.CADown, "expired", "the CA no longer knows the order: malformed: No order for ID"},
		{preflight.Account, "unauthorized", "Account is not valid, has status \"deactivated\""},
		{preflight.Account, "accountDoesNotExist", "unable to find existing account for only-return-existing request"},
		{preflight.Account, "userActionRequired", "Terms of service have changed"},
		{preflight.Ours, "rejectedIdentifier", "Error creating new order :: Cannot issue for \"shop.example\": The ACME server refuses to issue a certificate for this domain name, because it is forbidden by policy"},
		{preflight.Ours, "invalidProfile", "profile \"glitter\" not recognized"},
		{preflight.Ours, "badCSR", "CSR contains an unsupported signature algorithm"},
		{preflight.Ours, "malformed", "NotBefore and NotAfter are not supported"},
		{preflight.Ours, "configuration", "there is no solver \"office\""},
		{preflight.Elsewhere, "elsewhere", "shop.example: shop.example points to 192.0.2.9, which is not ours"},
		{preflight.Gone, "gone", "shop.example: shop.example does not exist (NXDOMAIN)"},
	} {
		if got := issue.Classify(c.typ, c.text, nil); got != c.want {
			t.Errorf("%s: %s\n\tis %s, want %s", c.typ, c.text, got, c.want)
		}
		if c.want.Advice() == "" {
			t.Errorf("class %s has no advice", c.want)
		}
	}
}

// TestWhatIsSeenFromHereExplainsTheCA lets a finding overrule the CA's words
// only where it tells why they were said.
func TestWhatIsSeenFromHereExplainsTheCA(t *testing.T) {
	t.Parallel()
	const (
		notFound = "192.0.2.7: Invalid response from http://shop.example/.well-known/acme-challenge/x: 404"
		servfail = "DNS problem: SERVFAIL looking up A for shop.example"
	)
	for _, c := range []struct {
		typ, text string
		seen      preflight.Class
		want      preflight.Class
	}{
		{"unauthorized", notFound, preflight.Elsewhere, preflight.Elsewhere},
		{"connection", "Connection refused", preflight.Elsewhere, preflight.Elsewhere},
		{"dns", servfail, preflight.DNSSEC, preflight.DNSSEC},
		{"dns", servfail, preflight.Gone, preflight.Gone},
		{"dns", servfail, preflight.Elsewhere, preflight.DNS},
		{"unauthorized", notFound, preflight.PortClosed, preflight.WrongAnswer},
		{"rateLimited", "too many new orders", preflight.Elsewhere, preflight.Limit},
		{"serverInternal", "internal error", preflight.Gone, preflight.CADown},
	} {
		if got := issue.Classify(c.typ, c.text, []preflight.Finding{{Class: c.seen, Certain: true}}); got != c.want {
			t.Errorf("%s %q, with %s seen here, is %s; want %s", c.typ, c.text, c.seen, got, c.want)
		}
	}
}

// TestOnlyWhatTheOtherChallengeMayBeSparedIsCurable has each class of failure.
func TestOnlyWhatTheOtherChallengeMayBeSparedIsCurable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		class     preflight.Class
		typ, text string
		want      bool
	}{
		{preflight.PortClosed, "connection", "192.0.2.7: Fetching http://shop.example/x: Timeout during connect (likely firewall problem)", true},
		{preflight.PortClosed, "port_closed", "shop.example: 10.0.0.1 is a private address", true},
		{preflight.WrongAnswer, "unauthorized", "192.0.2.7: Invalid response from http://shop.example/x: 404", true},
		{preflight.WrongAnswer, "unauthorized", "Incorrect TXT record \"abc\" found at _acme-challenge.shop.example", true},
		{preflight.WrongAnswer, "notVisible", "the dns-01 record of shop.example was not visible after 10m0s", true},
		{preflight.WrongAnswer, "dns", "DNS problem: SERVFAIL looking up TXT for _acme-challenge.shop.example", true},
		{preflight.Elsewhere, "elsewhere", "shop.example: shop.example points to 192.0.2.9, which is not ours", true},
		{preflight.DNS, "dns", "DNS problem: query timed out retrieving TXT records", true},
		{preflight.DNS, "dns", "shop.example: the record _acme-challenge.shop.example cannot be looked up: timeout", true},
		{preflight.DNS, "dns", "DNS problem: SERVFAIL looking up A for shop.example", false},
		{preflight.DNS, "dns", "DNS problem: query timed out looking up CAA for shop.example", false},
		{preflight.CADown, "unreachable", "the order expired: present dns-01 for shop.example: dns.example does not answer", true},
		{preflight.CADown, "unreachable", "place order: ca.example does not answer", false},
		{preflight.CADown, "serverInternal", "The service is down for maintenance", false},
		{preflight.Gone, "dns", "DNS problem: NXDOMAIN looking up A for shop.example", false},
		{preflight.Forbidden, "caa", "CAA record for shop.example prevents issuance", false},
		{preflight.DNSSEC, "dns", "DNS problem: looking up A for shop.example: DNSSEC: DNSKEY Missing", false},
		{preflight.Limit, "rateLimited", "too many failed authorizations (5) for \"shop.example\" in the last 1h0m0s", false},
		{preflight.Account, "accountDoesNotExist", "unable to find existing account", false},
		{preflight.Ours, "badCSR", "CSR contains an unsupported signature algorithm", false},
	} {
		if got := issue.Classify(c.typ, c.text, nil); got != c.class {
			t.Errorf("%s %q is %s, and meant as %s", c.typ, c.text, got, c.class)
		}
		if got := issue.Curable(c.typ, c.text); got != c.want {
			t.Errorf("%s (%s %q) is curable by the other challenge: %v", c.class, c.typ, c.text, got)
		}
	}
}
