package dnsq

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/certfleet/certfleet"
	"github.com/miekg/dns"
)

// Server is one authoritative name server of a zone.
type Server struct {
	Host  string // with a trailing dot
	Addrs []netip.Addr
	Err   error // why it has no address
}

// Zone finds the zone that name lies in: the nearest ancestor, or name itself,
// that has a SOA record (RFC 1034 section 4.2).
func (r *Resolver) Zone(ctx context.Context, name string) (string, error) {
	name = dns.CanonicalName(name)
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		in, err := r.recurse(ctx, name[off:], dns.TypeSOA)
		if err != nil && !errors.Is(err, ErrNotExist) {
			return "", fmt.Errorf("find the zone of %s: %w", name, err)
		}
		if zone := soaIn(in, name[off:]); zone != "" {
			return zone, nil
		}
	}
	return "", &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("no zone holds %s", name), Advice: "register the domain, or correct the name"}
}

// ZoneAt is Zone as one given authoritative server sees it, which is who must
// be asked before that server is told to change something.
func (r *Resolver) ZoneAt(ctx context.Context, server, name string) (string, error) {
	name = dns.CanonicalName(name)
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		in, err := r.ask(ctx, r.Dial, server, question(name[off:], dns.TypeSOA, false))
		if err != nil && (in == nil || in.Rcode == dns.RcodeServerFailure) {
			return "", fmt.Errorf("find the zone of %s: %w", name, err)
		}
		if zone := soaIn(in, name[off:]); zone != "" {
			return zone, nil
		}
	}
	return "", &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("server %s holds no zone for %s", server, name), Advice: "give the server that is primary for the zone, or name the zone"}
}

// soaIn is the zone that an answer to "name SOA" tells of. A SOA beside a CNAME
// belongs to the zone of the CNAME's end, so it says nothing about name.
func soaIn(in *dns.Msg, name string) string {
	if in == nil {
		return ""
	}
	for _, rr := range in.Answer {
		if _, ok := rr.(*dns.SOA); ok && strings.EqualFold(rr.Header().Name, name) {
			return dns.CanonicalName(name)
		}
	}
	if len(in.Answer) > 0 {
		return ""
	}
	for _, rr := range in.Ns {
		if _, ok := rr.(*dns.SOA); ok && rr.Header().Name != "." && dns.IsSubDomain(rr.Header().Name, name) {
			return dns.CanonicalName(rr.Header().Name)
		}
	}
	return ""
}

// Authorities are the name servers of the zone that name lies in.
func (r *Resolver) Authorities(ctx context.Context, name string) (zone string, servers []Server, err error) {
	zone, err = r.Zone(ctx, name)
	if err != nil {
		return "", nil, err
	}
	in, err := r.recurse(ctx, zone, dns.TypeNS)
	if err != nil {
		return zone, nil, fmt.Errorf("find the name servers of %s: %w", zone, err)
	}
	servers = hostsIn(in, zone)
	if len(servers) == 0 {
		return zone, nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("zone %s has no name servers", zone), Advice: "check its delegation"}
	}
	r.addressAll(ctx, servers)
	return zone, servers, nil
}

func hostsIn(in *dns.Msg, zone string) []Server {
	var out []Server
	for _, rr := range in.Answer {
		if ns, ok := rr.(*dns.NS); ok && strings.EqualFold(ns.Hdr.Name, zone) && len(out) < maxHosts {
			out = append(out, Server{Host: dns.CanonicalName(ns.Ns)})
		}
	}
	slices.SortFunc(out, func(a, b Server) int { return strings.Compare(a.Host, b.Host) })
	return out
}

func (r *Resolver) addressAll(ctx context.Context, servers []Server) {
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() {
			s := &servers[i]
			s.Addrs, s.Err = r.Addresses(ctx, s.Host)
			s.Addrs = s.Addrs[:min(len(s.Addrs), maxAddrs)]
		})
	}
	wg.Wait()
}
