package demand

import (
	"context"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"golang.org/x/sync/singleflight"
)

// Rules say what may be ordered on demand. The zero value allows nothing.
type Rules struct {
	Inventory bool             // names that are domains here
	Patterns  []*regexp.Regexp // names that one of them matches from end to end
	Ask       string           // a URL that is asked with ?domain=NAME: 2xx allows, 4xx denies
	Policy    string           // the policy of such certificates; empty means default
	Targets   []string         // and their targets
	Labels    int              // most labels before the registered domain; zero means 3
	PerDomain int              // certificates a registered domain and day; zero means 50
	PerTenant int              // certificates a tenant and day; zero means 1,000
	Wait      time.Duration    // how long a caller waits; zero means 15 s
	DenyFor   time.Duration    // how long a no is remembered; zero means 5 min
}

// On reports whether anything is allowed at all.
func (r *Rules) On() bool { return r.Inventory || len(r.Patterns) > 0 || r.Ask != "" }

// Room orders on demand. DB and Rules must be set.
type Room struct {
	DB    *store.DB
	Rules *Rules

	once   sync.Once
	http   *http.Client // for the ask URL: the operator named it, so it may be anywhere
	denied *denials
	flight singleflight.Group
	asking chan struct{}
	waits  chan struct{} // names whose certificate is read again and again
}

// Got is what became of a name.
type Got struct {
	Certificate int64
	OrderID     int64
	Existing    bool   // it was there, or on its way, before
	Pending     bool   // it goes on without the caller
	Problem     string // why there is no certificate
	Advice      string
}

// mostAsking bounds questions to the ask URL that are under way, and mostWaiting the
// names that are waited for: anybody can ask for those that have no certificate yet.
const (
	mostAsking  = 16
	mostWaiting = 500
)

func (r *Room) setUp() {
	r.once.Do(func() {
		r.denied = newDenials(100_000)
		r.http = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		r.asking, r.waits = make(chan struct{}, mostAsking), make(chan struct{}, mostWaiting)
	})
}

// Get gets n a certificate within Rules.Wait. Denied says that the rules do not
// allow it, Limited that the budget is spent.
func (r *Room) Get(ctx context.Context, tenant int64, n certfleet.Name) (Got, error) {
	r.setUp()
	rules := r.Rules
	if !rules.On() {
		return Got{}, &certfleet.Error{Kind: certfleet.Denied, Msg: "orders on demand are off", Advice: "set on_demand in the configuration"}
	}
	key := seat{tenant, n.String()}
	if no := r.denied.get(key, time.Now()); no != nil {
		return no.got, no.err
	}
	wait := or(rules.Wait, 15*time.Second)
	answer := r.flight.DoChan(key.String(), func() (any, error) {
		// Whoever asked first may go; the others still wait for it.
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait+10*time.Second)
		defer cancel()
		got, err := r.get(work, tenant, n, rules, wait)
		if got.Problem != "" || err != nil && remembered(err) {
			r.denied.put(denial{seat: key, got: got, err: err, until: time.Now().Add(or(rules.DenyFor, 5*time.Minute))})
		}
		return got, err
	})
	select {
	case <-ctx.Done():
		return Got{}, ctx.Err()
	case a := <-answer:
		if a.Err != nil {
			return Got{}, a.Err
		}
		return a.Val.(Got), nil
	}
}

// remembered are the answers that stay true for a while. A store or an ask URL
// that does not answer is asked again.
func remembered(err error) bool {
	switch certfleet.KindOf(err) {
	case certfleet.Denied, certfleet.Invalid, certfleet.Limited:
		return true
	}
	return false
}

func (r *Room) get(ctx context.Context, tenant int64, n certfleet.Name, rules *Rules, wait time.Duration) (Got, error) {
	if err := plausible(n, rules); err != nil {
		return Got{}, err
	}
	cert, err := r.wanted(ctx, tenant, n)
	if err != nil {
		return Got{}, err
	}
	existing := cert != nil
	if !existing {
		if err := r.allowed(ctx, tenant, n, rules); err != nil {
			return Got{}, err
		}
		if cert, err = r.want(ctx, tenant, n, rules); err != nil {
			return Got{}, err
		}
	}
	got, err := r.await(ctx, cert.ID, time.Now().Add(wait))
	got.Existing = existing
	return got, err
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
