package issue

import (
	"cmp"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
)

// advices says what to do about a problem that a CA names (RFC 8555 section 6.7).
var advices = map[string]string{
	"caa":                     "allow the CA in the domain's CAA record, or remove the record",
	"dns":                     "look at the name in DNS: it must exist and its name servers must answer",
	"dnssec":                  "repair the zone's DNSSEC signatures: since 2026 CAs must refuse a zone that does not verify",
	"connection":              "open the port to the internet, or choose dns-01",
	"incorrectResponse":       "send /.well-known/acme-challenge/ of this name to certfleet's challenge port",
	"unauthorized":            "send /.well-known/acme-challenge/ of this name to certfleet's challenge port, or look at its TXT record",
	"tls":                     "forward port 443 with acme-tls/1 to certfleet, or choose http-01",
	"rejectedIdentifier":      "ask the CA why it certifies no such name, or choose another authority",
	"unsupportedIdentifier":   "choose an authority and profile that certify this kind of name",
	"invalidProfile":          "choose one of the CA's profiles: certfleet authorities shows them",
	"badCSR":                  "choose another key type in the policy",
	"badPublicKey":            "choose another key type in the policy",
	"externalAccountRequired": "get external account binding keys from the CA and make the account with them",
	"userActionRequired":      "read and agree to the CA's new terms, then run certfleet accounts agree",
	"invalidContact":          "correct the account's contact address",
	"unsupportedContact":      "use a mailto: contact",
	"accountDoesNotExist":     "make a new account at this authority",
	"rateLimited":             "wait: the limit frees by itself; ask the CA for an override if it comes often",
	"badRevocationReason":     "choose another revocation reason",
	"alreadyRevoked":          "nothing: it is revoked already",
}

// Advice is one sentence on what to do about a problem, for a challenge type if
// there was one.
func Advice(p *acme.Problem, typ certfleet.ChallengeType) string {
	if answerOf(p).Pauses() {
		return "open " + cmp.Or(p.See, "the page that the CA names") + " to unpause the names, then run certfleet limits --clear with the key that it lists"
	}
	if typ == certfleet.DNS01 && (p.Name() == "unauthorized" || p.Name() == "incorrectResponse") {
		return "look at the TXT record below _acme-challenge: it must show the value of this order, on every name server"
	}
	if typ == certfleet.HTTP01 && p.Name() == "unauthorized" {
		return advices["incorrectResponse"]
	}
	if a := unreached(p, typ); a != "" {
		return a
	}
	if p.Name() == "rateLimited" && p.Help != "" {
		return advices["rateLimited"] + " (" + p.Help + ")"
	}
	if a, ok := advices[p.Name()]; ok {
		return a
	}
	return "read what the CA says; certfleet orders show has the whole exchange"
}

// accountAdvice is what to do when a CA refuses something about an account; acct
// is nil when we have none.
func accountAdvice(p *acme.Problem, acct *certfleet.Account) string {
	switch {
	case p.Name() == "accountDoesNotExist" && acct == nil:
		return "give the key of an account at this CA, or make a new account: certfleet accounts new"
	case p.Name() == "userActionRequired" && acct != nil && acct.State == certfleet.AccountWanted:
		return "read the CA's terms (certfleet authorities show), and say so with --agree, or certfleet accounts agree " + acct.Label
	case p.Name() == "unauthorized" && acct != nil && acct.State == certfleet.AccountWanted && acct.EABKeyID != "":
		return "get a new key id and HMAC key from the CA, and give both as they are shown: most can be used once"
	case p.Name() == "unauthorized":
		return "see whether the account was deactivated at the CA, and make a new one if so"
	}
	return Advice(p, "")
}

// unreached is for challenges that need the CA to come to us. CAs do not agree on
// the type when it cannot, so their words count too.
func unreached(p *acme.Problem, typ certfleet.ChallengeType) string {
	d := strings.ToLower(p.Detail)
	connect := p.Name() == "connection" || strings.Contains(d, "failed to connect")
	switch {
	case connect && strings.Contains(d, "resolve"):
		return advices["dns"]
	case typ == certfleet.TLSALPN01 && connect:
		return "open port 443 to the internet, or choose http-01 or dns-01"
	case typ == certfleet.TLSALPN01 && p.Name() == "unauthorized":
		return advices["tls"]
	case typ == certfleet.HTTP01 && connect:
		return "open port 80 to the internet, or choose dns-01"
	}
	return ""
}

// answerOf is a refusal as the planner sees it.
func answerOf(p *acme.Problem) plan.Answer {
	return plan.Answer{Type: p.Name(), Status: p.Status, Detail: p.Detail}
}
