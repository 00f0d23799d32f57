package updater

import (
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
)

// MaxSaid bounds what is kept of a service's words, in bytes.
const MaxSaid = 4 << 10

// Tail is the end of what a service said, as text.
func Tail(said []byte) string {
	if cut := len(said) - MaxSaid; cut > 0 {
		said = said[cut:]
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(said), "?"))
}

// Environ tells a program what changed. CERTFLEET_CERTIFICATES and
// CERTFLEET_LINEAGE hold labels and paths, one a line, and CERTFLEET_DOMAINS the
// names with spaces between. When one certificate changed, RENEWED_LINEAGE and
// RENEWED_DOMAINS say the same as certbot's deploy hooks.
func Environ(changed []certfleet.Bundle) map[string]string {
	var labels, paths, domains []string
	for _, b := range changed {
		labels = append(labels, b.Certificate)
		if b.Path != "" {
			paths = append(paths, b.Path)
		}
		for _, n := range b.Names {
			if !slices.Contains(domains, n.String()) {
				domains = append(domains, n.String())
			}
		}
	}
	env := map[string]string{
		"CERTFLEET_CERTIFICATES": strings.Join(labels, "\n"),
		"CERTFLEET_LINEAGE":      strings.Join(paths, "\n"),
		"CERTFLEET_DOMAINS":      strings.Join(domains, " "),
	}
	if len(changed) == 1 {
		env["RENEWED_LINEAGE"], env["RENEWED_DOMAINS"] = env["CERTFLEET_LINEAGE"], env["CERTFLEET_DOMAINS"]
	}
	return env
}
