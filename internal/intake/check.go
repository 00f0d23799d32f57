package intake

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/certfleet/certfleet"
)

// The bounds of what an operator may write.
const (
	maxLabel = 255 // characters of an object's label
	maxWord  = 255 // characters of a label's key or value
	maxWords = 64  // labels of one object
	maxNames = 100 // names of one certificate: what Let's Encrypt takes
)

// CheckLabel refuses what cannot be said in a path, on a command line or beside
// an id.
func CheckLabel(s string) error {
	bad := func(why, advice string) error {
		return invalid(advice, fmt.Sprintf("label %.60q %s", s, why))
	}
	switch {
	case s == "":
		return bad("is empty", "give a label such as www.example.com")
	case utf8.RuneCountInString(s) > maxLabel:
		return bad(fmt.Sprintf("has %d characters", utf8.RuneCountInString(s)), fmt.Sprintf("use at most %d characters", maxLabel))
	case strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl):
		return bad("begins or ends with a space, or holds a control character", "leave those out")
	case strings.ContainsAny(s, "/?#%"):
		return bad("contains one of / ? # %", "leave those out: labels stand in paths")
	case s == "." || s == "..":
		return bad("cannot stand in a path", "choose a word")
	case strings.Trim(s, "0123456789") == "":
		return bad("is a number, and would be taken for an id", "add a letter to it")
	}
	return nil
}

// checkLineage refuses a certificate's label that makes no folder name: targets
// that keep files would refuse it later.
func checkLineage(label string) error {
	_, err := certfleet.LineageName(label)
	if err == nil {
		return nil
	}
	n := utf8.RuneCountInString(label)
	why := fmt.Sprintf("label %.60q has %d characters", label, n)
	if n != len(label) {
		why += ", which need more room in a folder's name than plain letters do"
	}
	return invalid("choose a shorter label with --as (in the API label): at most 200 letters, digits, dots and hyphens", why)
}

// checkWords refuses labels that filters could not name.
func checkWords(l certfleet.Labels) error {
	if len(l) > maxWords {
		return invalid(fmt.Sprintf("use at most %d labels", maxWords), fmt.Sprintf("%d labels are too many", len(l)))
	}
	for k, v := range l {
		switch {
		case k == "" || strings.ContainsAny(k, "= ,") || strings.ContainsFunc(k, unicode.IsControl):
			return invalid("use letters, digits, dots, hyphens and underscores in the key, such as tenant=acme", fmt.Sprintf("label key %q cannot be used", k[:min(len(k), 80)]))
		case len(k) > maxWord || len(v) > maxWord || strings.ContainsFunc(v, unicode.IsControl):
			return invalid(fmt.Sprintf("use at most %d characters on one line", maxWord), fmt.Sprintf("label %q cannot be used", k[:min(len(k), 80)]))
		}
	}
	return nil
}

// checkNames parses the names of a certificate.
func checkNames(in []string) ([]certfleet.Name, error) {
	switch {
	case len(in) == 0:
		return nil, invalid("give at least one host name", "a certificate needs a name")
	case len(in) > maxNames:
		return nil, invalid(fmt.Sprintf("make several certificates of at most %d names", maxNames), fmt.Sprintf("%d names are too many for one certificate", len(in)))
	}
	return certfleet.ParseNames(in)
}

// checkChallenge refuses what no CA will accept as proof for a name: a wildcard
// needs dns-01 (RFC 8555 section 7.1.3), an address cannot have it (RFC 8738
// section 7).
func checkChallenge(names []certfleet.Name, typ certfleet.ChallengeType) error {
	for _, n := range names {
		switch {
		case n.IsWildcard() && (typ == certfleet.HTTP01 || typ == certfleet.TLSALPN01):
			return invalid("choose dns-01 for it, or leave the challenge to the policy", fmt.Sprintf("%s cannot be proved by %s", n, typ))
		case n.IsIP() && typ == certfleet.DNS01:
			return invalid("choose http-01 or tls-alpn-01 for it", fmt.Sprintf("address %s cannot be proved by dns-01", n))
		}
	}
	return nil
}

// laneOf reads the lanes that may be asked for.
func laneOf(s string) (certfleet.Lane, error) {
	switch s {
	case "", "new":
		return certfleet.LaneNew, nil
	case "emergency":
		return certfleet.LaneEmergency, nil
	case "waiting":
		return certfleet.LaneWaiting, nil
	case "backfill":
		return certfleet.LaneBackfill, nil
	}
	return 0, invalid("use one of emergency, waiting, new, backfill", fmt.Sprintf("lane %q cannot be asked for", s))
}

// tidy sorts a list of labels and leaves out what stands twice.
func tidy(in []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(in)))
}
