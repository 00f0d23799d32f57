// Package dnsq asks DNS questions: where a zone is cut, which servers speak for
// it, what each of them says right now, and who may issue for a name.
package dnsq

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/miekg/dns"
)

// The bounds of a conversation with servers that strangers chose.
const (
	DefaultTimeout = 3 * time.Second // for one try at one address
	maxHosts       = 13              // name servers of one zone that are asked
	maxAddrs       = 4               // addresses of one name server that are asked
	maxLinks       = 10              // CNAMEs that are followed
	resolvConf     = "/etc/resolv.conf"
)

// Dialer opens a connection to a TCP or UDP address.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Config is how a plugin's DNS questions are asked; the zero value is right
// wherever DNS is ordinary.
type Config struct {
	// Resolvers are the recursive servers to ask, as address or address:port;
	// empty for those of /etc/resolv.conf.
	Resolvers []string `json:"resolvers,omitempty"`
	// AuthorityPort is where authoritative servers are asked; zero for 53.
	AuthorityPort int `json:"authority_port,omitempty"`
	// Timeout is for one question to one server; zero for 3s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
}

// Or is c, with the resolvers of the house where it names none.
func (c Config) Or(resolvers []string) Config {
	if len(c.Resolvers) == 0 {
		c.Resolvers = resolvers
	}
	return c
}

// Resolver makes the Resolver that c describes; dial reaches authoritative
// servers, nil for the plain dialer.
func (c Config) Resolver(dial Dialer) *Resolver {
	return &Resolver{Servers: c.Resolvers, Port: c.AuthorityPort, Timeout: time.Duration(c.Timeout), Dial: dial}
}

// Resolver asks recursive servers for what they know, and authoritative ones
// for what they serve now. It keeps no cache: a caller that waits for a change
// wants to see it. Its zero value asks the servers of /etc/resolv.conf.
type Resolver struct {
	Servers []string      // recursive servers, as address or address:port
	Port    int           // of authoritative servers; zero for 53
	Timeout time.Duration // for one try at one address; zero for DefaultTimeout
	Dial    Dialer        // to authoritative servers, whose addresses strangers choose; nil for the plain dialer
}

func (r *Resolver) timeout() time.Duration {
	if r.Timeout <= 0 {
		return DefaultTimeout
	}
	return r.Timeout
}

func (r *Resolver) authority(ip netip.Addr) string {
	port := r.Port
	if port == 0 {
		port = 53
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(port))
}

// servers are the recursive servers with their ports.
func (r *Resolver) servers() ([]string, error) {
	if len(r.Servers) > 0 {
		return withPorts(r.Servers, "53"), nil
	}
	c, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil || len(c.Servers) == 0 {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "no recursive DNS server is known", Advice: "name one under resolvers, or in " + resolvConf, Err: err}
	}
	return withPorts(c.Servers, c.Port), nil
}

func withPorts(servers []string, port string) []string {
	out := make([]string, len(servers))
	for i, s := range servers {
		out[i] = WithPort(s, port)
	}
	return out
}

// WithPort is the address s with the port, unless it already has one.
func WithPort(s, port string) string {
	if _, _, err := net.SplitHostPort(s); err == nil {
		return s
	}
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		s = s[1 : n-1]
	}
	return net.JoinHostPort(s, port)
}
