package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/miekg/dns"
)

// The bounds of asking name servers themselves.
const (
	askTime  = 2 * time.Second
	askMost  = 3  // servers that confirm that a name is gone
	maxLinks = 10 // CNAMEs that are followed
)

// unanswered is a DNS question that got no answer. A CA needs one, so a zone
// whose signatures do not hold must fail there; silence may be ours alone.
func unanswered(err error, what string) Finding {
	f := Finding{Class: DNS, Seen: what + ": " + err.Error(), Advice: DNS.Advice()}
	if p, ok := errors.AsType[*dnsq.Problem](err); ok {
		f.Seen = fmt.Sprintf("%s: %s", what, p)
		if p.Bogus {
			f.Class, f.Advice, f.Certain = DNSSEC, DNSSEC.Advice(), true
		}
	}
	if advice := certfleet.AdviceOf(err); advice != "" {
		f.Advice = advice
	}
	return f
}

// addresses are where a CA would go for the name; none when there is no way,
// which is then a finding.
func (l *look) addresses(ctx context.Context) []netip.Addr {
	if l.Name.IsIP() {
		return []netip.Addr{l.Name.IP()}
	}
	host := l.Name.Base()
	addrs, err := l.DNS.Addresses(ctx, host)
	switch {
	case len(addrs) > 0:
		return addrs
	case err == nil:
		l.add(l.gone(ctx, fmt.Sprintf("%s is in DNS without an address (no A, no AAAA)", host)))
	case errors.Is(err, dnsq.ErrNotExist):
		l.add(l.gone(ctx, l.lost(ctx, host)))
	default:
		l.add(unanswered(err, "the addresses of "+host+" cannot be found out"))
	}
	return nil
}

// lost says where the trail of a name that does not resolve ends.
func (l *look) lost(ctx context.Context, host string) string {
	if chain := l.chain(ctx, host); len(chain) > 0 {
		return fmt.Sprintf("the CNAME of %s leads to %s, which does not exist (NXDOMAIN)", host, plain(chain[len(chain)-1]))
	}
	return host + " does not exist (NXDOMAIN)"
}

// gone is certain unless the zone's own servers know better: a recursive server
// may remember for a while that a name was not there.
func (l *look) gone(ctx context.Context, seen string) Finding {
	f := Finding{Class: Gone, Seen: seen, Advice: Gone.Advice(), Certain: true}
	if l.known(ctx, l.Name.Base()) {
		f.Certain, f.Seen = false, seen+" for the recursive server, while the zone's own servers know it"
		f.Advice = "wait until the recursive server has forgotten, or name others under dns.resolvers"
	}
	return f
}

// known reports whether a name server of the zone answers with an address or CNAME.
func (l *look) known(ctx context.Context, host string) bool {
	_, servers, err := l.DNS.Authorities(ctx, host)
	if err != nil {
		return false
	}
	asked := 0
	for _, s := range servers {
		for _, ip := range s.Addrs[:min(len(s.Addrs), 1)] {
			if asked++; asked > askMost {
				return false
			}
			if l.answers(ctx, ip, host) {
				return true
			}
		}
	}
	return false
}

// answers reports whether the server has an address for host. A CNAME counts
// only when the recursive servers know of none.
func (l *look) answers(ctx context.Context, server netip.Addr, host string) bool {
	port := l.DNS.Port
	if port == 0 {
		port = 53
	}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		q := new(dns.Msg).SetQuestion(dns.CanonicalName(host), qtype)
		q.RecursionDesired = false
		in, err := dnsq.Exchange(ctx, l.Dial, "udp", netip.AddrPortFrom(server, uint16(port)).String(), q, askTime, nil)
		if err != nil || in.Rcode != dns.RcodeSuccess {
			continue
		}
		if slices.ContainsFunc(in.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == qtype }) {
			return true
		}
	}
	return false
}

// chain are the names that the CNAMEs from host lead through, itself left out.
func (l *look) chain(ctx context.Context, host string) []string {
	var out []string
	for at := host; len(out) < maxLinks; {
		next, err := l.DNS.CNAME(ctx, at)
		if err != nil || next == "" {
			return out
		}
		out = append(out, next)
		at = next
	}
	return out
}

func plain(name string) string { return strings.TrimSuffix(name, ".") }

// pointsElsewhere says where the name points when that is nowhere of ours; empty
// when it does point here, or nobody said what is ours.
func (l *look) pointsElsewhere(ctx context.Context, addrs []netip.Addr) string {
	if len(l.Ours)+len(l.Aliases) == 0 {
		return ""
	}
	for _, a := range addrs {
		if slices.ContainsFunc(l.Ours, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) }) {
			return ""
		}
	}
	through := ""
	if len(l.Aliases) > 0 && !l.Name.IsIP() {
		for _, link := range l.chain(ctx, l.Name.Base()) {
			if slices.ContainsFunc(l.Aliases, func(a string) bool { return canonical(a) == canonical(link) }) {
				return ""
			}
			through = " through " + plain(link)
		}
	}
	return fmt.Sprintf("%s points to %s%s, which is not ours", l.Name.Base(), join(addrs), through)
}

func join(addrs []netip.Addr) string {
	var out []string
	for _, a := range addrs[:min(len(addrs), 4)] {
		out = append(out, a.String())
	}
	if more := len(addrs) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}
