package fakeca

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
)

// The names of the limits, which are also those of the ledger that is tested
// against them.
const (
	NewAccounts         = "new-accounts"
	NewAccountsRange    = "new-accounts-range"
	NewOrders           = "new-orders"
	PerDomain           = "certificates-per-domain"
	PerSet              = "certificates-per-set"
	FailedValidations   = "failed-validations"
	ConsecutiveFailures = "consecutive-failures"
)

// Limit lets Burst things happen at once and Count more in every Period.
type Limit struct {
	Name   string
	Count  int
	Period time.Duration
	Burst  int // Count if zero
}

// Override is a limit granted to one account, or for one registered domain.
type Override struct {
	Account string // its URL
	Domain  string
	Limit   Limit
}

// Pace is a bound on requests from one address at an endpoint; other stands for
// all that have none of their own.
type Pace struct {
	Endpoint  string
	PerSecond int
	Burst     int
}

// LetsEncrypt are its limits as published on 2026-08-05.
func LetsEncrypt() []Limit {
	return []Limit{
		{NewAccounts, 10, 3 * time.Hour, 0},
		{NewAccountsRange, 500, 3 * time.Hour, 0},
		{NewOrders, 300, 3 * time.Hour, 0},
		{PerDomain, 50, 7 * day, 0},
		{PerSet, 5, 7 * day, 0},
		{FailedValidations, 5, time.Hour, 0},
		{ConsecutiveFailures, 1, day, 1152},
	}
}

// LetsEncryptStaging are the limits of its staging environment.
func LetsEncryptStaging() []Limit {
	return []Limit{{NewOrders, 1500, 3 * time.Hour, 0}, {PerSet, 30000, 7 * day, 0}, {FailedValidations, 200, time.Hour, 0}}
}

// LetsEncryptPaces are its bounds on requests a second from one address.
func LetsEncryptPaces() []Pace {
	return []Pace{
		{"newNonce", 20, 10}, {"newAccount", 5, 15}, {"newOrder", 300, 200}, {"revokeCert", 10, 100},
		{"renewalInfo", 1000, 100}, {"directory", 40, 40}, {"other", 250, 125},
	}
}

// refusal is one limit that an order met.
type refusal struct {
	limit Limit
	key   string
	again time.Time
	what  string
}

// mayOrder checks the limits of a new order and charges what is charged at once.
// The caller holds the lock.
func (ca *CA) mayOrder(s *session, o *order, inWindow bool) *Problem {
	_, o.exempt = ca.sets[o.set]
	if p := ca.limits.pausedProblem(s, o.names); p != nil {
		ca.stats.Refused++
		return p
	}
	if inWindow {
		return nil
	}
	l := &ca.limits
	acct := o.who.url(s.base)
	var met []refusal
	ask := func(name, key, domain, what string) {
		if limit, own := l.of(name, acct, domain); limit.Count > 0 {
			if own && name == PerDomain {
				key = acct + " " + key
			}
			if again, ok := l.look(limit, key, s.now); !ok {
				met = append(met, refusal{limit, key, again, what})
			}
		}
	}
	if !o.exempt {
		ask(NewOrders, acct, "", "too many new orders (%d) from this account in the last %s")
		for _, d := range domains(o.names) {
			ask(PerDomain, d, d, "too many certificates (%d) already issued for "+strconv.Quote(d)+" in the last %s")
		}
	}
	ask(PerSet, setKey(o.set), "", "too many certificates (%d) already issued for this exact set of identifiers in the last %s")
	for _, n := range o.names {
		ask(FailedValidations, acct+" "+n.Base(), "", "too many failed authorizations (%d) for "+strconv.Quote(n.Base())+" in the last %s")
	}
	if len(met) > 0 {
		ca.stats.Refused++
		return l.refuse(s, met)
	}
	if limit, _ := l.of(NewOrders, acct, ""); limit.Count > 0 && !o.exempt {
		l.spend(limit, acct, s.now)
	}
	return nil
}

// refuse notes every limit met and names the one that frees last, as Boulder does.
func (l *limits) refuse(s *session, met []refusal) *Problem {
	for _, r := range met {
		l.breach(r.limit.Name, r.key, s.now)
	}
	r := slices.MaxFunc(met, func(a, b refusal) int { return a.again.Compare(b.again) })
	page := s.base + "/docs/rate-limits/#" + pages[r.limit.Name]
	said := fmt.Sprintf(r.what, r.limit.Count, r.limit.Period)
	wait := (r.again.Sub(s.now) + time.Second - 1) / time.Second
	p := problem(http.StatusTooManyRequests, "rateLimited", "%s, retry after %s UTC: see %s", said, s.now.Add(wait*time.Second).UTC().Format(time.DateTime), page)
	p.header = http.Header{"Retry-After": {strconv.Itoa(int(wait))}, "Link": {"<" + page + `>;rel="help"`}}
	return p
}

var pages = map[string]string{
	NewAccounts: "new-registrations-per-ip-address", NewAccountsRange: "new-registrations-per-ipv6-range",
	NewOrders: "new-orders-per-account", PerDomain: "new-certificates-per-registered-domain",
	PerSet:            "new-certificates-per-exact-set-of-identifiers",
	FailedValidations: "authorization-failures-per-identifier-per-account",
}

// domains are what certificates are counted by: registered domains, IPv4
// addresses and the /64 networks of IPv6 addresses.
func domains(names []certfleet.Name) []string {
	var out []string
	for _, n := range names {
		d := n.RegisteredDomain()
		if ip := n.IP(); ip.Is6() {
			d = netip.PrefixFrom(ip, 64).Masked().String()
		}
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

func setKey(set uint64) string { return strconv.FormatUint(set, 16) }
