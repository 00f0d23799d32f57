// Package preflight answers, before an order, whether it would fail: does the
// name exist, may the CA issue for it, does DNSSEC hold, and is the challenge
// answered by us when it is fetched as a CA fetches it?
//
// What it says is of two kinds. A certain finding must fail at the CA too, and
// stops an order. Any other is what we see from where we stand: a firewall, a
// resolver or a proxy may show a CA something else, so it warns and stops nothing.
package preflight

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dnsq"
)

// The bounds of looking, and how long what was seen may be believed.
const (
	lookTime    = 10 * time.Second // all of one name
	fetchTime   = 6 * time.Second  // one challenge at one address, redirects included
	connectTime = 4 * time.Second  // one connection
	manyTime    = 40 * time.Second // all names of an order
	abreast     = 8                // names that are looked at side by side
	goodFor     = 10 * time.Minute // nothing was found
	badFor      = time.Minute      // something was: people are repairing it
)

// CA is an authority as DNS knows it.
type CA struct {
	Label      string
	Identities []string // its names in CAA records; without them nothing is said of CAA
	AccountURL string   // us there; empty when not yet registered
}

// Question asks about one name.
type Question struct {
	Name        certfleet.Name
	Challenge   certfleet.ChallengeType
	Authorities []CA           // all that may be asked for a certificate
	Ours        []netip.Prefix // where names that are ours point; empty when nobody said
	Aliases     []string       // names that are ours when a CNAME leads through one of them
	Token       string         // what is fetched instead of "ping"
	Answer      string         // what is expected instead of our pong
}

// Deps are the ways out.
type Deps struct {
	DNS *dnsq.Resolver
	// Outside says that DNS asks resolvers on the internet, which see what a CA sees;
	// others may answer with addresses of a network's own.
	Outside bool
	// Dial reaches addresses that strangers chose; one that it refuses as not
	// public is one that no CA reaches either.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// HTTPPort and HTTPSPort stand in for 80 and 443.
	HTTPPort, HTTPSPort int
}

// Finding is one thing that is not as it must be.
type Finding struct {
	Class     Class
	Authority string // whom it stops; empty for all
	Seen      string // what was seen
	Advice    string // what to do about it
	Certain   bool   // a CA must see it so too
}

// Report is what a look at one name found, the certain things first.
type Report struct {
	Name      certfleet.Name
	Challenge certfleet.ChallengeType
	Findings  []Finding
	At        time.Time
	TTL       time.Duration // how long it may be believed
}

// Look asks everything about one name side by side, in at most ten seconds. What
// could not be found out in time is no finding, or one that is not certain.
func Look(ctx context.Context, q Question, d Deps) Report {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	l := &look{Question: q, Deps: d.withDefaults()}
	var wg sync.WaitGroup
	if !q.Name.IsIP() {
		wg.Go(func() { l.caa(ctx) })
	}
	wg.Go(func() { l.control(ctx) })
	wg.Wait()
	return l.report(time.Now())
}

// LookAll looks at all names of an order, a few abreast, in bounded time.
func LookAll(ctx context.Context, questions []Question, d Deps) []Report {
	ctx, cancel := context.WithTimeout(ctx, manyTime)
	defer cancel()
	out := make([]Report, len(questions))
	turn := make(chan struct{}, abreast)
	var wg sync.WaitGroup
	for i, q := range questions {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			out[i] = Look(ctx, q, d)
		})
	}
	wg.Wait()
	return out
}

func (d Deps) withDefaults() Deps {
	if d.DNS == nil {
		d.DNS = &dnsq.Resolver{Dial: d.Dial}
	}
	if d.Dial == nil {
		d.Dial = (&net.Dialer{}).DialContext
	}
	if d.HTTPPort == 0 {
		d.HTTPPort = 80
	}
	if d.HTTPSPort == 0 {
		d.HTTPSPort = 443
	}
	return d
}

// look is one Question on its way to a Report.
type look struct {
	Question
	Deps

	mu       sync.Mutex
	findings []Finding // guarded by mu
}

func (l *look) add(list ...Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range list {
		f.Advice = Possible(f.Advice, l.Name)
		l.findings = append(l.findings, f)
	}
}

// control looks at what proves control of the name.
func (l *look) control(ctx context.Context) {
	if l.Challenge == certfleet.DNS01 {
		l.record(ctx)
		return
	}
	l.paths(ctx)
}

// report sorts the findings; what two looks found alike is said once.
func (l *look) report(now time.Time) Report {
	r := Report{Name: l.Name, Challenge: l.Challenge, At: now, TTL: goodFor}
	slices.SortStableFunc(l.findings, func(a, b Finding) int { return rank(a) - rank(b) })
	for _, f := range l.findings {
		if !slices.ContainsFunc(r.Findings, func(g Finding) bool { return sameAs(f, g) }) {
			r.Findings = append(r.Findings, f)
		}
	}
	if len(r.Findings) > 0 {
		r.TTL = badFor
	}
	return r
}

// sameAs reports whether g says already what f says: broken DNS is met by every
// question that is asked of it.
func sameAs(f, g Finding) bool {
	return f.Class == g.Class && f.Authority == g.Authority && (f.Seen == g.Seen || f.Class == DNSSEC || f.Class == DNS)
}

// rank puts what stops everybody before what stops one authority, and both
// before warnings.
func rank(f Finding) int {
	n := 0
	if !f.Certain {
		n = 2
	}
	if f.Authority != "" {
		n++
	}
	return n
}

// Stop is the finding for which an order at the authority must fail, if any.
func (r Report) Stop(authority string) (Finding, bool) {
	return r.first(authority, true)
}

// Warning is the first finding that concerns the authority, certain or not.
func (r Report) Warning(authority string) (Finding, bool) {
	if f, ok := r.first(authority, true); ok {
		return f, true
	}
	return r.first(authority, false)
}

func (r Report) first(authority string, certain bool) (Finding, bool) {
	for _, f := range r.Findings {
		if f.Certain == certain && (f.Authority == "" || f.Authority == authority) {
			return f, true
		}
	}
	return Finding{}, false
}

// Fresh reports whether the report may still be believed.
func (r Report) Fresh(now time.Time) bool { return now.Before(r.At.Add(r.TTL)) }
