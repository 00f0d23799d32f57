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

// Addresses are the IPv4 and IPv6 addresses of a name, in order; none and no
// error when it exists without any. One family's failure is an error only when
// the other has nothing.
func (r *Resolver) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	var found [2][]netip.Addr
	var errs [2]error
	var wg sync.WaitGroup
	for i, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		wg.Go(func() {
			in, err := r.recurse(ctx, name, qtype)
			found[i], errs[i] = addressesIn(in), err
		})
	}
	wg.Wait()
	all := append(found[0], found[1]...)
	if len(all) > 0 {
		return all, nil
	}
	return nil, errors.Join(errs[0], dropSame(errs[0], errs[1]))
}

// dropSame keeps "does not exist" from being said once for each family.
func dropSame(a, b error) error {
	if errors.Is(a, ErrNotExist) && errors.Is(b, ErrNotExist) {
		return nil
	}
	return b
}

func addressesIn(in *dns.Msg) []netip.Addr {
	if in == nil {
		return nil
	}
	var out []netip.Addr
	for _, rr := range in.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			if ip, ok := netip.AddrFromSlice(rr.A); ok {
				out = append(out, ip.Unmap())
			}
		case *dns.AAAA:
			if ip, ok := netip.AddrFromSlice(rr.AAAA); ok {
				out = append(out, ip)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// TXT are the texts at a name as the recursive servers know them, CNAMEs followed.
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	in, err := r.recurse(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	return textsIn(in), nil
}

// textsIn joins the pieces of each text, as a CA does (RFC 7208 section 3.3 states the custom).
func textsIn(in *dns.Msg) []string {
	var out []string
	for _, rr := range in.Answer {
		if t, ok := rr.(*dns.TXT); ok {
			out = append(out, strings.Join(t.Txt, ""))
		}
	}
	return out
}

// CNAME is where name points, or empty when it is no CNAME or does not exist.
func (r *Resolver) CNAME(ctx context.Context, name string) (string, error) {
	in, err := r.recurse(ctx, name, dns.TypeCNAME)
	if errors.Is(err, ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, rr := range in.Answer {
		if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, dns.CanonicalName(name)) {
			return dns.CanonicalName(c.Target), nil
		}
	}
	return "", nil
}

// Follow goes along the CNAMEs that start at name and answers where they end,
// name itself when there are none.
func (r *Resolver) Follow(ctx context.Context, name string) (string, error) {
	at := dns.CanonicalName(name)
	for range maxLinks {
		next, err := r.CNAME(ctx, at)
		if err != nil {
			return "", fmt.Errorf("follow the CNAME of %s: %w", name, err)
		}
		if next == "" {
			return at, nil
		}
		at = next
	}
	return "", &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the CNAMEs from %s do not end within %d links", name, maxLinks), Advice: "let the CNAME point straight at its end"}
}
