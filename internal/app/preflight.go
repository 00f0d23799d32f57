package app

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/preflight"
)

// How long a CA may take to say its names in CAA records, and for how long one
// that did not is not asked again.
const (
	caaNamesTime  = 5 * time.Second
	caaNamesAgain = 10 * time.Minute
)

// preflight looks at names before an order goes out. No report means that the
// configuration wants no look.
func (a *App) preflight(ctx context.Context, at *certfleet.Authority, p *certfleet.Policy, asks []issue.Ask) []preflight.Report {
	c := a.Config.Preflight
	if c.Mode == config.PreflightOff || c.Mode == config.PreflightAuto && private(at) {
		return nil
	}
	guard := a.guard.Load()
	deps := preflight.Deps{DNS: dnsq.Config{Resolvers: a.Config.DNS.Resolvers}.Resolver(guard.Dial), Outside: outside(a.Config.DNS.Resolvers), Dial: guard.Dial}
	cas := a.caaNames(ctx, p)
	list := make([]preflight.Question, len(asks))
	for i, ask := range asks {
		list[i] = preflight.Question{Name: ask.Name, Challenge: ask.Challenge, Authorities: cas, Ours: c.Addresses, Aliases: c.Names}
	}
	reports := preflight.LookAll(ctx, list, deps)
	if c.Mode == config.PreflightWarn {
		for _, r := range reports {
			for i := range r.Findings {
				r.Findings[i].Certain = false
			}
		}
	}
	return reports
}

// outside reports whether all resolvers, host:port, are on the internet, and so see
// of a name what a CA sees. The system's own may not.
func outside(resolvers []string) bool {
	for _, r := range resolvers {
		at, err := netip.ParseAddrPort(r)
		if err != nil || new(dial.Guard).Check(at.Addr()) != nil {
			return false
		}
	}
	return len(resolvers) > 0
}

// unroutable are the ends of names that exist inside some network alone (RFC
// 6761, RFC 6762, RFC 8375, and .internal, which ICANN set aside in 2024).
var unroutable = []string{".test", ".example", ".invalid", ".localhost", ".local", ".home.arpa", ".internal"}

// private reports whether an authority is one of our own, which may see names
// quite differently: it has a trust bundle of its own, or no public address.
func private(at *certfleet.Authority) bool {
	u, err := url.Parse(at.DirectoryURL)
	if at.TrustPEM != "" || err != nil {
		return true
	}
	host := strings.ToLower(u.Hostname())
	ip, err := netip.ParseAddr(host)
	if err != nil {
		inside := func(end string) bool { return strings.HasSuffix(host, end) }
		return !strings.Contains(host, ".") || slices.ContainsFunc(unroutable, inside)
	}
	return (&dial.Guard{}).Check(ip) != nil
}

// caaNames are the policy's authorities as CAA records know them.
func (a *App) caaNames(ctx context.Context, p *certfleet.Policy) []preflight.CA {
	out := make([]preflight.CA, len(p.Spec.Authorities))
	var wg sync.WaitGroup
	for i, label := range p.Spec.Authorities {
		wg.Go(func() { out[i] = a.caaName(ctx, p.Tenant, label) })
	}
	wg.Wait()
	return out
}

// caaName has no identities when they cannot be found out: then nothing is said
// of CAA for that authority.
func (a *App) caaName(ctx context.Context, tenant int64, label string) preflight.CA {
	out := preflight.CA{Label: label}
	at, err := a.DB.AuthorityByLabel(ctx, tenant, label)
	if err != nil {
		return out
	}
	if acct, err := a.DB.AccountAt(ctx, tenant, at.ID); err == nil {
		out.AccountURL = acct.URL
	}
	if a.mute.is(at.ID, time.Now()) {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, caaNamesTime)
	defer cancel()
	client, err := a.Issue.ClientOf(ctx, at.ID)
	if err != nil {
		return out
	}
	dir, err := client.Directory(ctx)
	if err != nil {
		a.mute.until(at.ID, time.Now().Add(caaNamesAgain))
	}
	out.Identities = dir.Meta.CAAIdentities
	return out
}

// mute are the authorities that did not answer lately.
type mute struct {
	mu    sync.Mutex
	again map[int64]time.Time // guarded by mu
}

func (m *mute) is(id int64, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Before(m.again[id])
}

func (m *mute) until(id int64, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.again == nil {
		m.again = map[int64]time.Time{}
	}
	m.again[id] = at
}
