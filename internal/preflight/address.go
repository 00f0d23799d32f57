package preflight

import (
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
)

// byAddress rewrites advice where there is an address among the names.
var byAddress = strings.NewReplacer(", or choose dns-01", "", "http-01 or dns-01", "http-01")

// Possible is an advice that these names can follow: no address can be proved by
// dns-01 (RFC 8738 section 7).
func Possible(advice string, names ...certfleet.Name) string {
	if !slices.ContainsFunc(names, certfleet.Name.IsIP) {
		return advice
	}
	return byAddress.Replace(advice)
}
