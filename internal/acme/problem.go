package acme

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// problemPrefix opens the types of RFC 8555 section 6.7.
const problemPrefix = "urn:ietf:params:acme:error:"

// Problem is a refusal by a CA (RFC 8555 section 6.7), without the tokens and
// key authorizations that CAs like to quote.
type Problem struct {
	Type        string // a URN, empty when the CA sent no problem document
	Title       string
	Detail      string
	Status      int // HTTP status; zero for a problem inside an object
	Instance    string
	Identifier  string // the name it is about, of a subproblem
	Subproblems []Problem
	RetryAfter  time.Time // zero when the CA named no time
	Help        string    // Link rel="help", such as the page of a rate limit
	See         string    // the first https URL in Detail, such as a page to unpause a name
	Location    string    // of the account that has the key already, on a conflict
}

// Name is the type without its URN prefix, such as rateLimited.
func (p *Problem) Name() string { return strings.TrimPrefix(p.Type, problemPrefix) }

// Error is the problem on one line.
func (p *Problem) Error() string {
	s := p.Name()
	if s == "" || s == "about:blank" {
		s = p.Title
	}
	s = joinText(s, p.Detail)
	if s == "" {
		s = fmt.Sprintf("status %d", p.Status)
	}
	for _, sub := range p.Subproblems {
		s += "; " + joinText(sub.Identifier, sub.Error())
	}
	return oneLine(s, 1000)
}

func joinText(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ": " + b
}

// Kind sorts the problem by how it is handled.
func (p *Problem) Kind() certfleet.Kind {
	switch p.Name() {
	case "rateLimited":
		return certfleet.Limited
	case "accountDoesNotExist":
		return certfleet.NotFound
	case "alreadyReplaced", "alreadyRevoked", "orderNotReady":
		return certfleet.Conflict
	case "unauthorized", "externalAccountRequired", "userActionRequired":
		return certfleet.Denied
	}
	return kindOfStatus(p.Status)
}

func kindOfStatus(status int) certfleet.Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return certfleet.Limited
	case status >= 500, status >= 300 && status < 400:
		return certfleet.Unreachable
	case status == http.StatusNotFound:
		return certfleet.NotFound
	case status == http.StatusConflict:
		return certfleet.Conflict
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return certfleet.Denied
	}
	return certfleet.Invalid
}

// Is reports whether err is a Problem of the type with this name, such as
// rateLimited.
func Is(err error, name string) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Name() == name
}

// OfSignature reports whether the refusal may be of who signed, rather than of what
// was asked for: RFC 8555 section 6.2 names no type for a signature that does not
// verify, so CAs say malformed or unauthorized for other reasons too.
func (p *Problem) OfSignature() bool {
	switch p.Name() {
	case "malformed", "unauthorized", "badSignatureAlgorithm", "badPublicKey":
		return true
	case "", "about:blank":
		return p.Status == http.StatusBadRequest || p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden
	}
	return p.Status == http.StatusUnauthorized
}

// problemJSON is a problem document on the wire (RFC 7807, RFC 8555 section 6.7.1).
type problemJSON struct {
	Type        string        `json:"type"`
	Title       string        `json:"title"`
	Detail      string        `json:"detail"`
	Status      int           `json:"status"`
	Instance    string        `json:"instance"`
	Identifier  identifier    `json:"identifier"`
	Subproblems []problemJSON `json:"subproblems"`
}

// maxSubproblems bounds what is kept of a CA's explanation; an order has at most 100 names.
const maxSubproblems = 100

func (j *problemJSON) problem() *Problem {
	if j == nil {
		return nil
	}
	p := &Problem{
		Type: oneLine(j.Type, 200), Title: oneLine(plainText(j.Title), 200), Detail: oneLine(plainText(j.Detail), 2000),
		Status: j.Status, Instance: plainURL(j.Instance), Identifier: oneLine(j.Identifier.Value, 260),
	}
	p.See = firstURL(p.Detail)
	for i := range j.Subproblems[:min(len(j.Subproblems), maxSubproblems)] {
		p.Subproblems = append(p.Subproblems, *j.Subproblems[i].problem())
	}
	return p
}

// parseProblem reads a problem document; nil when b is none.
func parseProblem(b []byte) *Problem {
	var j problemJSON
	if json.Unmarshal(b, &j) != nil || (j.Type == "" && j.Title == "" && j.Detail == "") {
		return nil
	}
	return j.problem()
}

// problem is the refusal in an answer, or nil for a success.
func (a *answer) problem() *Problem {
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	p := parseProblem(a.body)
	if p == nil {
		p = &Problem{Title: a.inWords()}
	}
	p.Status = a.status
	p.Help, p.Location = link(a.header, a.url, "help"), a.location()
	if wait := a.retryAfter(); wait > 0 {
		p.RetryAfter = a.at.Add(wait)
	}
	return p
}

// inWords describes a refusal that is no problem document, such as a proxy's page.
func (a *answer) inWords() string {
	s := fmt.Sprintf("status %d %s", a.status, http.StatusText(a.status))
	switch {
	case a.status >= 300 && a.status < 400:
		return s + ", a redirect to " + plainURL(a.location())
	case len(a.body) == 0:
		return s + " without an explanation"
	}
	return fmt.Sprintf("%s with %s instead of an explanation: %s", s, a.contentType(), oneLine(plainText(tags.ReplaceAllString(string(a.body[:min(len(a.body), 2000)]), " ")), 160))
}

// problemLine is what an exchange is recorded with.
func problemLine(a *answer, err error) string {
	if err != nil {
		return oneLine(plainText(err.Error()), 500)
	}
	if p := a.problem(); p != nil {
		return oneLine(p.Error(), 500)
	}
	return ""
}

var (
	tags     = regexp.MustCompile(`(?s)<(style|script|head)[^>]*>.*?</(style|script|head)>|<[^>]*>`)
	httpsURL = regexp.MustCompile(`https://[^\s"'<>()\[\]{}]+`)
)

func firstURL(s string) string { return strings.TrimRight(httpsURL.FindString(s), ".,;:!?") }
