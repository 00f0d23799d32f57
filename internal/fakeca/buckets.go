package fakeca

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
)

// limits are what is enforced and how full it is. Those of accounts and orders
// are guarded by the CA's lock.
type limits struct {
	table     []Limit
	overrides []Override
	full      map[uint64]int64    // bucket -> when it is full again, in nanoseconds
	sweepAt   int                 // how many buckets to have before full ones are dropped
	paused    map[string]struct{} // account and name
	breaches  map[string]*Breach

	paces map[string]Limit
	pmu   *sync.Mutex
	paced map[uint64]int64 // under pmu
}

func newLimits(table []Limit, paces []Pace, overrides []Override) limits {
	l := limits{table: table, overrides: slices.Clone(overrides), full: map[uint64]int64{}, sweepAt: 1 << 16, paused: map[string]struct{}{},
		breaches: map[string]*Breach{}, paces: map[string]Limit{}, pmu: new(sync.Mutex), paced: map[uint64]int64{}}
	for _, p := range paces {
		l.paces[p.Endpoint] = Limit{"pace-" + p.Endpoint, p.PerSecond, time.Second, p.Burst}
	}
	return l
}

// Breach is how often a limit was met, which a well-behaved client never does.
type Breach struct {
	Limit string
	Count int
	First time.Time
	Last  time.Time
	Keys  []string // the first ten buckets
}

// Breaches are the limits that were met so far, by name.
func (ca *CA) Breaches() []Breach {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	out := []Breach{}
	for _, b := range ca.limits.breaches {
		c := *b
		c.Keys = slices.Clone(b.Keys)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Breach) int { return strings.Compare(a.Limit, b.Limit) })
	return out
}

// Grant gives an override from now on.
func (ca *CA) Grant(o Override) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.limits.overrides = append(ca.limits.overrides, o)
}

func (l *limits) breach(limit, key string, now time.Time) {
	b := l.breaches[limit]
	if b == nil {
		b = &Breach{Limit: limit, First: now}
		l.breaches[limit] = b
	}
	b.Count, b.Last = b.Count+1, now
	if len(b.Keys) < 10 && !slices.Contains(b.Keys, key) {
		b.Keys = append(b.Keys, key)
	}
}

// of is the limit for an account and a domain; own says that the account has one
// to itself. The latest grant counts.
func (l *limits) of(name, account, domain string) (limit Limit, own bool) {
	for _, o := range slices.Backward(l.overrides) {
		if o.Limit.Name == name && (o.Account == "" || o.Account == account) && (o.Domain == "" || o.Domain == domain) {
			return o.Limit, o.Account != ""
		}
	}
	for _, t := range l.table {
		if t.Name == name {
			return t, false
		}
	}
	return Limit{}, false
}

// step is how long one thing takes to be free again, and most how far ahead a
// bucket may be.
func (l Limit) step() (step, most int64) {
	step = int64(l.Period) / int64(l.Count)
	if l.Burst > 0 {
		return step, step * int64(l.Burst)
	}
	return step, step * int64(l.Count)
}

// after is where a bucket would be after one more thing, and whether that is allowed.
func (l Limit) after(full int64, now time.Time) (next int64, again time.Time, ok bool) {
	step, most := l.step()
	next = max(full, now.UnixNano()) + step
	over := next - most - now.UnixNano()
	return next, now.Add(time.Duration(max(over, 0))), over <= 0
}

func bucketOf(limit, key string) uint64 { return hash(limit + " " + key) }

func (l *limits) look(limit Limit, key string, now time.Time) (again time.Time, ok bool) {
	_, again, ok = limit.after(l.full[bucketOf(limit.Name, key)], now)
	return again, ok
}

// spend charges if it can; what cannot be charged is forgotten, as at Boulder.
func (l *limits) spend(limit Limit, key string, now time.Time) bool {
	b := bucketOf(limit.Name, key)
	next, _, ok := limit.after(l.full[b], now)
	if ok {
		l.full[b] = next
		l.sweep(now)
	}
	return ok
}

// sweep drops full buckets, which are as good as none.
func (l *limits) sweep(now time.Time) {
	if len(l.full) < l.sweepAt {
		return
	}
	for b, full := range l.full {
		if full <= now.UnixNano() {
			delete(l.full, b)
		}
	}
	l.sweepAt = max(1<<16, 2*len(l.full))
}

// issued charges what is charged for a certificate.
func (l *limits) issued(o *order, base string, now time.Time) {
	acct := o.who.url(base)
	for _, d := range domains(o.names) {
		if o.exempt {
			break
		}
		limit, own := l.of(PerDomain, acct, d)
		if own {
			l.charge(limit, acct+" "+d, now)
			limit, _ = l.of(PerDomain, "", d)
		}
		l.charge(limit, d, now)
	}
	limit, _ := l.of(PerSet, acct, "")
	l.charge(limit, setKey(o.set), now)
}

func (l *limits) charge(limit Limit, key string, now time.Time) bool {
	return limit.Count <= 0 || l.spend(limit, key, now)
}

// failed charges a failed validation, and pauses the name after too many in a row.
func (l *limits) failed(who *account, base, name string, now time.Time) {
	acct := who.url(base)
	limit, _ := l.of(FailedValidations, acct, "")
	l.charge(limit, acct+" "+name, now)
	limit, _ = l.of(ConsecutiveFailures, acct, "")
	if !l.charge(limit, who.tag()+" "+name, now) {
		l.paused[who.tag()+" "+name] = struct{}{}
		l.breach(ConsecutiveFailures, name, now)
	}
}

func (l *limits) succeeded(who *account, name string) {
	delete(l.full, bucketOf(ConsecutiveFailures, who.tag()+" "+name))
}

// pausedProblem refuses an order with a paused name; no exemption helps.
func (l *limits) pausedProblem(s *session, names []certfleet.Name) *Problem {
	var list []string
	for _, n := range names {
		if _, ok := l.paused[s.who.tag()+" "+n.Base()]; ok {
			list = append(list, n.Base())
		}
	}
	if len(list) == 0 {
		return nil
	}
	return problem(http.StatusTooManyRequests, "rateLimited", "Your account is temporarily prevented from requesting certificates for %s and possibly others. Please visit: %s/unpause/%s",
		strings.Join(list, ", "), s.base, s.who.tag())
}

// Pause stops names of an account, as a CA does with names that keep failing.
func (ca *CA) Pause(accountURL string, names ...string) {
	ca.pausing(accountURL, func(who *account) {
		for _, n := range names {
			ca.limits.paused[who.tag()+" "+n] = struct{}{}
		}
	})
}

// Unpause is what a person does at the page that the CA points to: it lets all
// names of an account go, and says how many there were.
func (ca *CA) Unpause(accountURL string) (n int) {
	ca.pausing(accountURL, func(who *account) {
		for key := range ca.limits.paused {
			if name, ok := strings.CutPrefix(key, who.tag()+" "); ok {
				delete(ca.limits.paused, key)
				ca.limits.succeeded(who, name)
				n++
			}
		}
	})
	return n
}

func (ca *CA) pausing(accountURL string, do func(*account)) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	base, _, _ := strings.Cut(accountURL, "/account/")
	if who := ca.find(accountURL, base); who != nil {
		do(who)
	}
}

// newAccount charges a registration to its address, and to its /48 on IPv6.
func (l *limits) newAccount(s *session) *Problem {
	const what = "too many new registrations (%d) from this IP address in the last %s"
	ip, err := netip.ParseAddr(s.source)
	var met []refusal
	keys := map[string]string{NewAccounts: s.source}
	if err == nil && ip.Is6() {
		keys[NewAccountsRange] = netip.PrefixFrom(ip, 48).Masked().String()
	}
	for name, key := range keys {
		limit, _ := l.of(name, "", "")
		if limit.Count == 0 {
			continue
		}
		if again, ok := l.look(limit, key, s.now); !ok {
			met = append(met, refusal{limit, key, again, what})
		}
	}
	if len(met) > 0 {
		return l.refuse(s, met)
	}
	for name, key := range keys {
		limit, _ := l.of(name, "", "")
		l.charge(limit, key, s.now)
	}
	return nil
}

// paced holds back an address that asks too fast.
func (ca *CA) paced(c *call) *Problem {
	l := &ca.limits
	limit, ok := l.paces[c.endpoint]
	if !ok {
		if limit, ok = l.paces["other"]; !ok {
			return nil
		}
	}
	b := bucketOf(limit.Name, c.source)
	l.pmu.Lock()
	next, _, ok := limit.after(l.paced[b], c.now)
	if ok {
		l.paced[b] = next
	}
	l.pmu.Unlock()
	if ok {
		return nil
	}
	ca.mu.Lock()
	l.breach(limit.Name, c.source, c.now)
	ca.stats.Refused++
	ca.mu.Unlock()
	p := problem(http.StatusServiceUnavailable, "rateLimited", "Service busy; retry later.")
	p.header = http.Header{"Retry-After": {"1"}}
	return p
}
