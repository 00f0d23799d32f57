package web

import "github.com/certfleet/certfleet"

// takesOver says how what another renews comes here.
func takesOver(external string) string {
	if external == certfleet.ExternalPeterSSLers {
		return "what it renews comes with the next certfleet import peter_sslers"
	}
	return "what it renews is taken over"
}
