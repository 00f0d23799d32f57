package plan

import (
	"slices"
	"strings"
)

// Answer is what a CA refused a request with.
type Answer struct {
	Type   string // the problem's name, such as rateLimited (RFC 8555 section 6.7)
	Status int    // of HTTP
	Detail string // as the CA said it
}

// Limits reports whether the refusal is for a limit's sake.
func (a Answer) Limits() bool { return a.Type == "rateLimited" || a.Status == 429 }

// OfNames reports whether a limit is one on names, by its words: CAs say so only
// there.
func (a Answer) OfNames() bool {
	d := strings.ToLower(a.Detail)
	return slices.ContainsFunc(nameWords, func(w string) bool { return strings.Contains(d, w) })
}

var nameWords = []string{"exact set", "identical certificates", "registered domain", "certificates already issued for", "too many certificates", "failed authorizations", "failed validations", "paused", "prevented from requesting certificates for"}

// Pauses reports whether a CA has stopped names until a person has helped at a page
// of its own.
func (a Answer) Pauses() bool {
	d := strings.ToLower(a.Detail)
	return a.Limits() && (strings.Contains(d, "paused") || strings.Contains(d, "temporarily prevented from requesting"))
}

// RefusesReplaces reports whether a new-order may have been refused because of the
// certificate that it replaces (RFC 9773 section 5).
func (a Answer) RefusesReplaces() bool {
	if a.Status == 503 {
		return false // the CA is away, and refuses nothing in particular
	}
	switch a.Type {
	case "alreadyReplaced", "malformed", "unauthorized", "serverInternal":
		return true
	}
	return a.Status == 404 || a.Status == 409
}

// Passes reports whether the same request may fare better later: the CA has
// trouble of its own, or is not ready. A limit passes where it is not on names.
func (a Answer) Passes() bool {
	if a.Limits() {
		return !a.OfNames()
	}
	return a.Status >= 500 || a.Type == "orderNotReady" || a.Type == "badNonce"
}

// Counts reports whether a CA has counted a new-order that it refused so.
func (a Answer) Counts() bool { return !a.Limits() }

// OnNames reports whether a lesson is about names alone, so that the account's
// other orders go on.
func (l Lesson) OnNames(a Answer) bool { return l.Key.Subject != "" || a.OfNames() }
