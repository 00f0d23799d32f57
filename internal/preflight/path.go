package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/certfleet/certfleet"
)

// mostEach is how many addresses of one family are looked at.
const mostEach = 4

// outcome is how a look at one address ended.
type outcome int

const (
	ours    outcome = iota // our answer came
	wrong                  // another answer came
	closed                 // nobody answers
	private                // no CA can reach the address
	unknown                // we cannot tell from here
)

// sight is what was seen at one address.
type sight struct {
	addr netip.Addr
	how  outcome
	seen string
}

// paths fetches the challenge at each address of the name, as a CA would.
func (l *look) paths(ctx context.Context) {
	addrs := l.addresses(ctx)
	if len(addrs) == 0 {
		return
	}
	var elsewhere string
	var wg sync.WaitGroup
	wg.Go(func() { elsewhere = l.pointsElsewhere(ctx, addrs) })
	sights := l.visit(ctx, addrs)
	wg.Wait()
	if ctx.Err() != nil {
		return // cut off: what was seen says nothing
	}
	l.add(judge(l.Name, l.Challenge, sights, elsewhere, l.Outside)...)
}

func (l *look) visit(ctx context.Context, addrs []netip.Addr) []sight {
	list := few(addrs)
	sights := make([]sight, len(list))
	var wg sync.WaitGroup
	for i, a := range list {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, fetchTime)
			defer cancel()
			if l.Challenge == certfleet.TLSALPN01 {
				sights[i] = l.handshake(ctx, a)
				return
			}
			sights[i] = l.fetch(ctx, a)
		})
	}
	wg.Wait()
	return sights
}

// few are the first addresses of each family, IPv6 first as a CA tries them.
func few(addrs []netip.Addr) []netip.Addr {
	var six, four []netip.Addr
	for _, a := range addrs {
		if a.Is4() && len(four) < mostEach {
			four = append(four, a)
		} else if !a.Is4() && len(six) < mostEach {
			six = append(six, a)
		}
	}
	return append(six, four...)
}

// judge says what the sights mean. Nothing about reachability is certain except
// that no CA reaches a private address that is itself to be proved, and that a name
// which points to somebody else's server, and is not answered by us there, is not
// ours. Private addresses of a name are what DNS says in here, unless it was asked
// outside: a CA out there is told others, or none.
func judge(name certfleet.Name, typ certfleet.ChallengeType, sights []sight, elsewhere string, outside bool) []Finding {
	six, four := split(sights)
	all := append(six[:len(six):len(six)], four...)
	switch {
	case len(all) == 0 || every(all, ours):
		return nil
	case every(all, private) && name.IsIP():
		return []Finding{{Class: PortClosed, Seen: saw(name, all), Advice: "take a public address, or leave it out", Certain: true}}
	case every(all, private) && outside:
		return []Finding{{Class: PortClosed, Seen: saw(name, all), Advice: "point the name to a public address, or choose dns-01", Certain: true}}
	case !outside && (every(all, private) || elsewhere != "" && !some(all, ours) && slices.ContainsFunc(all, sight.inside)):
		return []Finding{{Class: PortClosed, Seen: saw(name, all) + "; a CA outside is told something else", Advice: splitAdvice}}
	case elsewhere != "" && !some(all, ours):
		return []Finding{{Class: Elsewhere, Seen: elsewhere + ": " + saw(name, all), Advice: Elsewhere.Advice(), Certain: true}}
	case !some(all, ours):
		return []Finding{worst(name, typ, all)}
	case len(six) > 0 && !some(six, ours):
		f := worst(name, typ, six)
		f.Advice = "repair IPv6, which a CA tries first, or remove the AAAA records: over IPv4 all is well"
		return []Finding{f}
	}
	f := worst(name, typ, all)
	f.Advice = "make every address of the name answer alike: a CA asks whichever it likes"
	return []Finding{f}
}

// splitAdvice is for an inner view of DNS.
const splitAdvice = "name public resolvers under dns.resolvers, which see what a CA sees; or point the name to a public address, or choose dns-01"

// shared is the address space between providers and their customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// inside reports whether the address is one that only a network's own DNS should
// answer with: refused as not public, or reached where the configuration allows that.
func (s sight) inside() bool {
	a := s.addr.Unmap()
	return s.how == private || a.IsPrivate() || a.IsLinkLocalUnicast() || shared.Contains(a)
}

// split leaves out what could not be seen from here.
func split(sights []sight) (six, four []sight) {
	for _, s := range sights {
		switch {
		case s.how == unknown:
		case s.addr.Is4():
			four = append(four, s)
		default:
			six = append(six, s)
		}
	}
	return six, four
}

func every(list []sight, how outcome) bool {
	for _, s := range list {
		if s.how != how {
			return false
		}
	}
	return true
}

func some(list []sight, how outcome) bool {
	for _, s := range list {
		if s.how == how {
			return true
		}
	}
	return false
}

// worst is a finding about those that do not answer as they must.
func worst(name certfleet.Name, typ certfleet.ChallengeType, list []sight) Finding {
	f := Finding{Class: PortClosed, Seen: saw(name, list)}
	if some(list, wrong) {
		f.Class = WrongAnswer
	}
	f.Advice = advise(f.Class, typ)
	return f
}

func advise(c Class, typ certfleet.ChallengeType) string {
	switch {
	case typ == certfleet.TLSALPN01 && c == PortClosed:
		return "open port 443 to the internet, or choose dns-01"
	case typ == certfleet.TLSALPN01 && c == WrongAnswer:
		return "forward port 443 with acme-tls/1 to certfleet, or choose http-01"
	}
	return c.Advice()
}

// saw tells of those that do not answer as they must, in one line.
func saw(name certfleet.Name, list []sight) string {
	var out []string
	for _, s := range list {
		if s.how != ours {
			out = append(out, fmt.Sprintf("%s %s", s.addr, s.seen))
		}
	}
	return "for " + name.Base() + ", " + strings.Join(out, "; ")
}

// missed is why no connection came about.
func missed(addr netip.Addr, err error) sight {
	s := sight{addr: addr, how: closed, seen: "does not answer: " + reason(err)}
	switch {
	case certfleet.KindOf(err) == certfleet.Denied:
		s.how, s.seen = private, "is not a public address"
	case addr.Is6() && (errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL)):
		s.how, s.seen = unknown, "is IPv6, which this machine has not"
	case errors.Is(err, context.Canceled):
		s.how, s.seen = unknown, "was not asked in time"
	}
	return s
}

// reason is an error of the network in few words.
func reason(err error) string {
	ne, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "the connection is reset"
	case errors.Is(err, context.DeadlineExceeded), isNet && ne.Timeout():
		return "no answer in time"
	}
	s := err.Error()
	return s[:min(len(s), 200)]
}
