package dnsq

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// What can be wrong with an answer; use errors.Is.
var (
	ErrNotExist = errors.New("the name does not exist") // NXDOMAIN, RFC 8020
	ErrServer   = errors.New("the server could not answer")
	ErrSilent   = errors.New("no answer came")
)

// Problem is a question that got no usable answer.
type Problem struct {
	Name   string // with a trailing dot
	Type   string // such as TXT
	Server string // who was asked, address:port
	Rcode  string // such as NXDOMAIN or SERVFAIL, empty when no answer came
	Bogus  bool   // the server answers once DNSSEC is not checked (RFC 4035 section 3.2.2)
	Err    error  // the cause when no answer came
}

// Error says what was asked, where, and what came back.
func (p *Problem) Error() string {
	asked := fmt.Sprintf("ask %s for %s %s", p.Server, p.Name, p.Type)
	switch {
	case p.Rcode == "":
		return fmt.Sprintf("%s: %v", asked, p.Err)
	case p.Bogus:
		return fmt.Sprintf("%s: %s, because DNSSEC does not validate", asked, p.Rcode)
	}
	return fmt.Sprintf("%s: %s", asked, p.Rcode)
}

// Unwrap is the cause when no answer came.
func (p *Problem) Unwrap() error { return p.Err }

// Is tells the three kinds of problem apart.
func (p *Problem) Is(target error) bool {
	switch target {
	case ErrNotExist:
		return p.Rcode == "NXDOMAIN"
	case ErrSilent:
		return p.Rcode == ""
	case ErrServer:
		return p.Rcode != "" && p.Rcode != "NXDOMAIN"
	}
	return false
}

func newProblem(server string, q dns.Question) *Problem {
	return &Problem{Name: q.Name, Type: dns.TypeToString[q.Qtype], Server: server}
}

func rcodeText(rcode int) string {
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", rcode)
}
