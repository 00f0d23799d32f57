// Package acmedns solves dns-01 (RFC 8555 section 8.4) through an acme-dns
// server: each name's _acme-challenge is, once and for all, a CNAME to a name on
// that server, whose two TXT values are changed over HTTP.
package acmedns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/miekg/dns"
)

// DefaultTimeout is for one request to the acme-dns server.
const DefaultTimeout = 30 * time.Second

// Config says which acme-dns server new names are registered at.
type Config struct {
	// Server is the URL of the acme-dns API, such as https://acme-dns.example.com.
	// A credential that was imported with its own server stays with that one.
	Server string `json:"server"`
	// AllowFrom are the networks that may update names registered from now on,
	// such as 192.0.2.0/24; empty for any.
	AllowFrom []string `json:"allow_from,omitempty"`
	// Timeout of one request; zero for 30s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
	// DNS says how the CNAME and the authoritative servers are asked.
	DNS dnsq.Config `json:"dns,omitzero"`
}

// Accounts keep one Credential for each name; names come without a star. Who
// implements it seals them.
type Accounts interface {
	Get(ctx context.Context, name certfleet.Name) (Credential, bool, error)
	Put(ctx context.Context, name certfleet.Name, c Credential) error
}

// Solver updates TXT values at acme-dns servers.
type Solver struct {
	config   Config
	accounts Accounts
	resolver *dnsq.Resolver
	http     *http.Client
}

// New checks the configuration.
func New(c Config, d dial.Deps, accounts Accounts) (*Solver, error) {
	if err := checkURL(c.Server); err != nil {
		return nil, err
	}
	if c.Timeout <= 0 {
		c.Timeout = certfleet.Duration(DefaultTimeout)
	}
	if d.HTTP == nil {
		d.HTTP = &http.Client{Timeout: time.Duration(c.Timeout)}
	}
	// A redirect would carry the password to wherever it points.
	stays := *d.HTTP
	stays.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.DNS = c.DNS.Or(d.Resolvers)
	return &Solver{config: c, accounts: accounts, resolver: c.DNS.Resolver(d.Dial), http: &stays}, nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil {
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the acme-dns server is not a URL", Advice: "give the address of its API, such as https://acme-dns.example.com"}
}

// Present writes the value to the name's acme-dns subdomain, unless it is there
// already: the server keeps only the two latest values, so writing one again
// could push out the other of the same order.
func (s *Solver) Present(ctx context.Context, c certfleet.Challenge) ([]byte, error) {
	account, err := s.account(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := s.checkCNAME(ctx, c.DNSName(), account.FullDomain); err != nil {
		return nil, err
	}
	view, err := s.resolver.LookAt(ctx, account.FullDomain, c.DNSValue())
	if err == nil && view.Ready() {
		return nil, nil
	}
	return nil, s.Update(ctx, account, c.DNSValue())
}

// CleanUp does nothing: acme-dns has no way to delete a value, and forgets it
// when two newer ones have come.
func (*Solver) CleanUp(context.Context, certfleet.Challenge, []byte) error { return nil }

// Ready looks once whether all of the acme-dns server's addresses show the value.
func (s *Solver) Ready(ctx context.Context, c certfleet.Challenge, _ []byte) (bool, string, error) {
	account, err := s.account(ctx, c)
	if err != nil {
		return false, "", err
	}
	view, err := s.resolver.LookAt(ctx, account.FullDomain, c.DNSValue())
	if err != nil {
		return false, "", err
	}
	return view.Ready(), view.String(), nil
}

func (s *Solver) account(ctx context.Context, c certfleet.Challenge) (Credential, error) {
	name, err := base(c.Name)
	if err != nil {
		return Credential{}, err
	}
	account, ok, err := s.accounts.Get(ctx, name)
	if err != nil {
		return Credential{}, fmt.Errorf("open the acme-dns account of %s: %w", name, err)
	}
	if !ok {
		return Credential{}, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("%s has no acme-dns account", name), Advice: fmt.Sprintf("run certfleet acmedns ensure %s and set the CNAME that it prints", name)}
	}
	return account, nil
}

// base is the name whose _acme-challenge is asked for: a wildcard shares its parent's.
func base(n certfleet.Name) (certfleet.Name, error) { return certfleet.ParseName(n.Base()) }

// checkCNAME reports, before an order is spent, that the record leads elsewhere.
func (s *Solver) checkCNAME(ctx context.Context, record, target string) error {
	end, err := s.resolver.Follow(ctx, record)
	if err == nil && end == dns.CanonicalName(target) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// The recursive server may remember that there was none.
	view, authErr := s.resolver.LookCNAME(ctx, record, target)
	if authErr == nil && view.Ready() {
		return nil
	}
	if err := errors.Join(err, authErr); err != nil {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("nobody can say where %s leads", record), Advice: "see that the zone's name servers answer", Err: err}
	}
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: wrongCNAME(record, end, target), Advice: fmt.Sprintf("set %s IN CNAME %s", record, dns.CanonicalName(target))}
}

func wrongCNAME(record, end, target string) string {
	if strings.EqualFold(record, end) {
		return fmt.Sprintf("%s is not a CNAME to %s", record, target)
	}
	return fmt.Sprintf("%s leads to %s, not to %s", record, end, target)
}
