package fakeca

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const problemPrefix = "urn:ietf:params:acme:error:"

// Problem is a refusal (RFC 8555 section 6.7). A Validate answers with one to
// choose the type.
type Problem struct {
	Type   string // without the URN prefix, such as malformed
	Detail string
	Status int // HTTP status, 400 if zero
	header http.Header
	subs   []subproblem
}

// Error is the problem on one line.
func (p *Problem) Error() string { return p.Type + ": " + p.Detail }

type subproblem struct {
	Type       string     `json:"type"`
	Detail     string     `json:"detail"`
	Identifier identifier `json:"identifier"`
}

type problemJSON struct {
	Type        string       `json:"type"`
	Detail      string       `json:"detail"`
	Status      int          `json:"status,omitempty"`
	Algorithms  []string     `json:"algorithms,omitempty"`
	Subproblems []subproblem `json:"subproblems,omitempty"`
}

func (p *Problem) wire() *problemJSON {
	if p == nil {
		return nil
	}
	j := &problemJSON{Type: problemPrefix + p.Type, Detail: p.Detail, Status: p.status(), Subproblems: p.subs}
	if p.Type == "badSignatureAlgorithm" {
		j.Algorithms = algorithms // RFC 8555 section 6.2
	}
	return j
}

func (p *Problem) status() int {
	if p.Status == 0 {
		return http.StatusBadRequest
	}
	return p.Status
}

func (p *Problem) reply() reply {
	body, _ := json.Marshal(p.wire()) // strings and numbers only
	h := http.Header{"Content-Type": {"application/problem+json"}}
	for k, v := range p.header {
		h[k] = v
	}
	return reply{p.status(), h, body}
}

func problem(status int, kind, format string, args ...any) *Problem {
	return &Problem{Type: kind, Detail: fmt.Sprintf(format, args...), Status: status}
}

func malformed(format string, args ...any) *Problem {
	return problem(http.StatusBadRequest, "malformed", format, args...)
}

func unauthorized(format string, args ...any) *Problem {
	return problem(http.StatusForbidden, "unauthorized", format, args...)
}

func notFound(what string) *Problem {
	return problem(http.StatusNotFound, "malformed", "%s not found", what)
}

// RetryAfter is how long the refused should wait, in whole seconds as Retry-After
// says it; zero when it says nothing.
func (p *Problem) RetryAfter() time.Duration {
	n, _ := strconv.Atoi(p.header.Get("Retry-After"))
	return time.Duration(n) * time.Second
}

// Help is the page that a refusal points to, empty for none.
func (p *Problem) Help() string {
	target, _, _ := strings.Cut(strings.TrimPrefix(p.header.Get("Link"), "<"), ">")
	return target
}
