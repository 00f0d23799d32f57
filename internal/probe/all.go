package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/certfleet/certfleet"
)

// parallel is how many looks LookAll takes at a time when Options say nothing.
const parallel = 8

// Sight is one look of LookAll: what was seen, or why nothing.
type Sight struct {
	Seen
	Err error
}

// LookAll looks at every name at every address. A host name among the
// addresses is looked at on each of its IPv4 and IPv6 addresses. The answers
// come in order: all addresses of the first name, then of the second.
func LookAll(ctx context.Context, names []certfleet.Name, addrs []string, o Options) []Sight {
	var looks []Sight
	where := resolveAll(ctx, addrs, o)
	for _, n := range names {
		for _, w := range where {
			w.Name = n
			looks = append(looks, w)
		}
	}
	run(looks, o, func(s *Sight) {
		if s.Err == nil {
			s.Seen, s.Err = Look(ctx, s.Address, s.Name, o)
		}
	})
	return looks
}

// run calls look for each, a bounded number at a time, and returns when all are done.
func run(looks []Sight, o Options, look func(*Sight)) {
	n := o.Parallel
	if n <= 0 {
		n = parallel
	}
	slots := make(chan struct{}, n)
	var all sync.WaitGroup
	for i := range looks {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			look(&looks[i])
		})
	}
	all.Wait()
}

func resolveAll(ctx context.Context, addrs []string, o Options) []Sight {
	var out []Sight
	for _, a := range addrs {
		out = append(out, resolve(ctx, withPort(a), o)...)
	}
	return out
}

func (o Options) resolver() func(context.Context, string, string) ([]netip.Addr, error) {
	if o.lookup != nil {
		return o.lookup
	}
	if len(o.Resolvers) == 0 {
		return net.DefaultResolver.LookupNetIP
	}
	return (&net.Resolver{PreferGo: true, Dial: o.dialResolver}).LookupNetIP
}

// dialResolver goes to the first resolver that can be reached. Which one the
// system would ask does not matter.
func (o Options) dialResolver(ctx context.Context, network, _ string) (net.Conn, error) {
	var all error
	for _, at := range o.Resolvers {
		conn, err := new(net.Dialer).DialContext(ctx, network, at)
		if err == nil {
			return conn, nil
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

// resolve answers one place for each address of a host name, or one that says
// why there is none.
func resolve(ctx context.Context, addr string, o Options) []Sight {
	host, port, _ := net.SplitHostPort(addr)
	if _, err := netip.ParseAddr(host); err == nil {
		return []Sight{{Seen: Seen{Address: addr}}}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	ips, err := o.resolver()(ctx, "ip", host)
	if err != nil {
		s := Seen{Address: addr}
		return []Sight{{Seen: s, Err: explain(s, err)}}
	}
	var out []Sight
	for _, ip := range ips {
		out = append(out, Sight{Seen: Seen{Address: net.JoinHostPort(ip.Unmap().String(), port)}})
	}
	return out
}
