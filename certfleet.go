// Package certfleet holds the words that every room of the house shares: the
// nouns, the seams between rooms and plugins, and the error that carries
// advice. It does no I/O and starts no goroutine.
//
// The spine reads as a sentence: a Source names it, a Certificate wants it, an
// Order gets it, a Version is it, a Delivery brings it, a probe sees it.
package certfleet

import "time"

// DefaultTenant owns everything until somebody makes another tenant.
const DefaultTenant int64 = 1

// Labels are an operator's own words on an object, such as tenant=acme.
type Labels map[string]string

// Release is the version of this build, set by the linker.
var Release = "dev"

// User agents and directories that speak for the whole product.
const (
	// UserAgent is sent with every request to a CA (RFC 8555 section 6.1).
	UserAgent = "certfleet"
	// ChallengePath is where a CA looks for an http-01 answer (RFC 8555 section 8.3).
	ChallengePath = "/.well-known/acme-challenge/"
)

// Millis is how a moment is stored: milliseconds since 1970, zero for never.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis is the inverse of Millis, in UTC.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
