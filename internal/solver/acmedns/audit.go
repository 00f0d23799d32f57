package acmedns

import (
	"context"
	"fmt"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dnsq"
)

// Finding is what a live look at one name's delegation showed.
type Finding struct {
	Row
	CNAME   string `json:"cname"`             // what was seen of the CNAME
	TXT     string `json:"txt"`               // what was seen of the TXT values at its end
	Problem string `json:"problem,omitempty"` // empty when a challenge would work
	Advice  string `json:"advice,omitempty"`
}

// Audit looks at each name: that its record is a CNAME to its account's name at
// every authoritative server, and that servers speak for that name. It changes
// nothing, so a certificate that is being got is not disturbed.
func (s *Solver) Audit(ctx context.Context, names []certfleet.Name) []Finding {
	return each(names, func(name certfleet.Name) Finding { return s.audit(ctx, name) })
}

func (s *Solver) audit(ctx context.Context, name certfleet.Name) Finding {
	account, err := s.account(ctx, certfleet.Challenge{Name: name})
	if err != nil {
		return Finding{Row: failed(name, err)}.with(err)
	}
	f := Finding{Row: newRow(name, account)}
	if err := s.checkCNAME(ctx, f.Record, f.Target); err != nil {
		f.CNAME = err.Error()
		return f.with(err)
	}
	f.CNAME = fmt.Sprintf("%s leads to %s", f.Record, f.Target)
	view, err := s.resolver.LookAt(ctx, f.Target, "")
	if err != nil {
		return f.with(err)
	}
	f.TXT = texts(view)
	if !anyAnswered(view) {
		f.Problem, f.Advice = "no server of "+view.Zone+" answers: "+view.String(), "see that the acme-dns server's port 53 can be reached"
	}
	return f
}

func (f Finding) with(err error) Finding {
	f.Problem, f.Advice = err.Error(), certfleet.AdviceOf(err)
	return f
}

func anyAnswered(v dnsq.View) bool {
	for _, s := range v.Seen {
		if s.Err == nil {
			return true
		}
	}
	return false
}

// texts says what each server holds.
func texts(v dnsq.View) string {
	var parts []string
	for _, s := range v.Seen {
		if s.Err != nil {
			parts = append(parts, s.String())
			continue
		}
		parts = append(parts, fmt.Sprintf("%s (%s) holds %d values %q", s.Host, s.Addr, len(s.Values), s.Values))
	}
	return strings.Join(parts, "; ")
}
