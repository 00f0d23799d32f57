package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dnsq"
	"golang.org/x/net/publicsuffix"
)

// manyTXT is how many TXT records below _acme-challenge are too many: answers
// grow beyond what some servers and resolvers carry.
const manyTXT = 40

// record looks at where the dns-01 answer goes (RFC 8555 section 8.4). That
// nothing is there yet is how it should be.
func (l *look) record(ctx context.Context) {
	at := certfleet.Challenge{Name: l.Name}.DNSName()
	end, err := l.DNS.Follow(ctx, at)
	if certfleet.KindOf(err) == certfleet.Invalid {
		l.add(Finding{Class: WrongAnswer, Seen: err.Error(), Advice: certfleet.AdviceOf(err), Certain: true})
		return
	}
	if err != nil {
		l.add(unanswered(err, "the record "+plain(at)+" cannot be looked up"))
		return
	}
	l.zone(ctx, end)
	values, err := l.DNS.TXT(ctx, end)
	switch {
	case errors.Is(err, dnsq.ErrNotExist):
	case err != nil:
		l.add(unanswered(err, "the record "+plain(at)+" cannot be looked up"))
	case len(values) > manyTXT:
		l.add(Finding{Class: WrongAnswer, Seen: fmt.Sprintf("%s has %d TXT records", plain(end), len(values)), Advice: "remove the TXT records of past challenges: a CA may not get so long an answer"})
	}
}

// zone finds out whether anybody can put a record at the place at all.
func (l *look) zone(ctx context.Context, at string) {
	zone, err := l.DNS.Zone(ctx, at)
	gone := certfleet.KindOf(err) == certfleet.NotFound
	switch {
	case err != nil && !gone:
		l.add(unanswered(err, "the zone of "+plain(at)+" cannot be found"))
		return
	case !gone && !public(plain(zone)):
		return
	}
	l.add(Finding{Class: Gone, Seen: fmt.Sprintf("no zone holds %s: its domain is not registered", plain(at)), Advice: "register the domain, or remove the name from the certificate", Certain: true})
}

// public reports whether a zone is a registry's, in which nobody puts records
// of their own.
func public(zone string) bool {
	suffix, icann := publicsuffix.PublicSuffix(zone)
	return !strings.Contains(zone, ".") || icann && suffix == zone
}
