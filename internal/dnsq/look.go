package dnsq

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Seen is what one address of one name server said about a TXT record.
type Seen struct {
	Host   string // the name server, with a trailing dot
	Addr   netip.Addr
	Values []string // the texts, or the CNAME's target, there now
	Found  bool     // the wanted one is among them
	Err    error    // why nothing can be said; nil when the server answered
}

// View is a TXT or CNAME record as all authoritative servers see it now.
type View struct {
	Name  string // where the record is, once CNAMEs were followed
	Type  string // TXT or CNAME
	Zone  string
	Value string // what was looked for
	Seen  []Seen
}

// Look follows the CNAMEs of name and asks every address of every
// authoritative server of their end for the TXT value.
func (r *Resolver) Look(ctx context.Context, name, value string) (View, error) {
	end, err := r.Follow(ctx, name)
	if err != nil {
		return View{Name: name, Type: "TXT", Value: value}, err
	}
	return r.LookAt(ctx, end, value)
}

// LookAt is Look without following CNAMEs.
func (r *Resolver) LookAt(ctx context.Context, name, value string) (View, error) {
	return r.lookFor(ctx, dns.TypeTXT, name, value)
}

// LookCNAME asks every address of every authoritative server whether name is a
// CNAME to target, past what a recursive server may still remember.
func (r *Resolver) LookCNAME(ctx context.Context, name, target string) (View, error) {
	return r.lookFor(ctx, dns.TypeCNAME, name, dns.CanonicalName(target))
}

func (r *Resolver) lookFor(ctx context.Context, qtype uint16, name, value string) (View, error) {
	v := View{Name: dns.CanonicalName(name), Type: dns.TypeToString[qtype], Value: value}
	zone, servers, err := r.Authorities(ctx, v.Name)
	if err != nil {
		return v, err
	}
	v.Zone = zone
	for _, s := range servers {
		v.Seen = append(v.Seen, blank(s)...)
	}
	var wg sync.WaitGroup
	for i := range v.Seen {
		if s := &v.Seen[i]; s.Addr.IsValid() {
			wg.Go(func() { r.look(ctx, qtype, v.Name, value, s) })
		}
	}
	wg.Wait()
	return v, nil
}

// blank makes a row for each address, and one that says why when there is none.
func blank(s Server) []Seen {
	if len(s.Addrs) == 0 {
		err := s.Err
		if err == nil {
			err = fmt.Errorf("it has no address")
		}
		return []Seen{{Host: s.Host, Err: err}}
	}
	out := make([]Seen, len(s.Addrs))
	for i, a := range s.Addrs {
		out[i] = Seen{Host: s.Host, Addr: a}
	}
	return out
}

func (r *Resolver) look(ctx context.Context, qtype uint16, name, value string, s *Seen) {
	in, err := r.ask(ctx, r.Dial, r.authority(s.Addr), question(name, qtype, false))
	switch {
	case in != nil && in.Rcode == dns.RcodeNameError:
		return // an answer: nothing is there
	case err != nil:
		s.Err = err
	case !in.Authoritative:
		s.Err = fmt.Errorf("it does not speak for the zone (RFC 1912 section 2.8)")
	default:
		s.Values = valuesIn(in, qtype)
		s.Found = slices.Contains(s.Values, value)
	}
}

func valuesIn(in *dns.Msg, qtype uint16) []string {
	if qtype == dns.TypeTXT {
		return textsIn(in)
	}
	var out []string
	for _, rr := range in.Answer {
		if c, ok := rr.(*dns.CNAME); ok {
			out = append(out, dns.CanonicalName(c.Target))
		}
	}
	return out
}

// Ready reports whether a CA will find the value whichever server it asks:
// everyone who answers shows it, and at least half of the name servers answer.
// A name server that is down for days must not stop every order of its zone,
// and a CA passes it by as well.
func (v View) Ready() bool {
	answered, all := map[string]bool{}, map[string]bool{}
	for _, s := range v.Seen {
		all[s.Host] = true
		if s.Err != nil {
			continue
		}
		answered[s.Host] = true
		if !s.Found {
			return false
		}
	}
	return len(answered) > 0 && 2*len(answered) >= len(all)
}

// String says in one line what was seen at which server.
func (v View) String() string {
	found := 0
	parts := make([]string, len(v.Seen))
	for i, s := range v.Seen {
		if s.Found {
			found++
		}
		parts[i] = s.String()
	}
	return fmt.Sprintf("%s %s at %d of %d servers: %s", v.Name, v.Type, found, len(v.Seen), strings.Join(parts, "; "))
}

// String says what this server said.
func (s Seen) String() string {
	who := s.Host
	if s.Addr.IsValid() {
		who += " (" + s.Addr.String() + ")"
	}
	switch {
	case s.Err != nil:
		return who + " gave no answer: " + causeOf(s.Err)
	case s.Found:
		return who + " shows it"
	case len(s.Values) == 0:
		return who + " has no such record"
	case len(s.Values) == 1:
		return who + " has another value there"
	}
	return fmt.Sprintf("%s has %d other values there", who, len(s.Values))
}

// causeOf drops the question, which the line already names.
func causeOf(err error) string {
	p, ok := err.(*Problem)
	if !ok {
		return err.Error()
	}
	if p.Rcode != "" {
		return p.Rcode
	}
	return p.Err.Error()
}
