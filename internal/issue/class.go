package issue

import (
	"slices"
	"strings"

	"github.com/certfleet/certfleet/internal/preflight"
)

// rule sorts a problem whose type is one of types and whose text has one of the
// words; none of either means any.
type rule struct {
	class preflight.Class
	types string // separated by spaces
	words []string
}

// onTheWay are the types under which CAs speak of what lies between them and the
// answer to a challenge. They do not agree which is for what, so words decide.
const onTheWay = "dns dnssec caa connection incorrectResponse unauthorized tls malformed"

// rules are tried in order; the words are Let's Encrypt's and Pebble's, in lower case.
var rules = []rule{
	{preflight.Limit, "rateLimited", nil},
	{preflight.CADown, "serverInternal unreachable badNonce orderNotReady expired invalid stuck shortChain", nil},
	{preflight.Account, "accountDoesNotExist externalAccountRequired userActionRequired invalidContact unsupportedContact", nil},
	{preflight.Account, "unauthorized", []string{"account is not valid", "account has been deactivated", "unable to find account"}},
	{preflight.WrongAnswer, "notVisible", nil},

	{preflight.DNSSEC, onTheWay, []string{"dnssec: ", "dnssec does not validate", "rrsigs missing", "dnskey missing", "signature expired"}},
	{preflight.WrongAnswer, onTheWay, []string{"looking up txt for", "txt record found", "no txt record", "incorrect txt record", "correct value not found"}},
	{preflight.Forbidden, onTheWay, []string{"prevents issuance"}},
	{preflight.Gone, onTheWay, []string{"nxdomain looking up", "no such host", "no valid a records", "no valid ip addresses", "no ip addresses", "could not resolve"}},
	{preflight.DNS, onTheWay, []string{"servfail looking up", "dns problem", "error occurred while resolving", "retrieving txt records", "server misbehaving"}},
	{preflight.WrongAnswer, onTheWay, []string{"timeout after connect", "too many redirects", "redirect loop", "redirect to", "in redirect", "invalid response", "did not match", "cannot negotiate"}},
	{preflight.PortClosed, onTheWay, []string{"timeout during connect", "connection refused", "failed to connect", "no route to host", "connection reset", "deadline exceeded", "i/o timeout"}},

	{preflight.Forbidden, "caa", nil},
	{preflight.DNSSEC, "dnssec", nil},
	{preflight.DNS, "dns", nil},
	{preflight.PortClosed, "connection", nil},
	{preflight.WrongAnswer, "incorrectResponse unauthorized tls", nil},

	// A refusal without a type is some proxy's page.
	{preflight.Limit, "", []string{"status 429"}},
	{preflight.CADown, "", []string{"status 5"}},
}

func (r rule) matches(typ, text string) bool {
	if r.types == "" && typ != "" || r.types != "" && !slices.Contains(strings.Fields(r.types), typ) {
		return false
	}
	return len(r.words) == 0 || slices.ContainsFunc(r.words, func(w string) bool { return strings.Contains(text, w) })
}

// Classify sorts a failure by what has to be done about it: by the CA's type and
// words, and by what is seen from here where that explains them. A type that is
// a class already is from before an order went out.
func Classify(typ, text string, seen []preflight.Finding) preflight.Class {
	class := ruled(typ, strings.ToLower(text))
	for _, f := range seen {
		if explains(f, class) {
			return f.Class
		}
	}
	return class
}

func ruled(typ, text string) preflight.Class {
	for _, r := range rules {
		if r.matches(typ, text) {
			return r.class
		}
	}
	if c := preflight.Class(typ); slices.Contains(preflight.Classes, c) {
		return c
	}
	return preflight.Ours
}

// explains reports whether what is seen from here tells why the CA met what it met.
func explains(f preflight.Finding, class preflight.Class) bool {
	switch f.Class {
	case preflight.Elsewhere:
		return class == preflight.WrongAnswer || class == preflight.PortClosed
	case preflight.DNSSEC:
		return class == preflight.DNS || class == preflight.Gone
	case preflight.Gone:
		return class == preflight.DNS && f.Certain
	}
	return false
}

// seenAdvice is what a look from here says about a failure of the class, or otherwise.
func seenAdvice(class preflight.Class, seen []preflight.Finding, otherwise string) string {
	for _, f := range seen {
		if f.Class == class {
			return f.Advice + " (seen from here: " + f.Seen + ")"
		}
	}
	return otherwise
}
