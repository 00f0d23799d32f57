package plan

import (
	"strings"
	"time"
)

// LimitName is the word for one limit, in the ledger, the API and the CLI.
type LimitName string

// The limits that CAs publish.
const (
	NewAccounts         LimitName = "new-accounts"            // per source address
	NewAccountsRange    LimitName = "new-accounts-range"      // per IPv6 /48
	NewOrders           LimitName = "new-orders"              // per account
	PerDomain           LimitName = "certificates-per-domain" // per registered domain, IPv4 address or IPv6 /64, whoever asks
	PerSet              LimitName = "certificates-per-set"    // per exact set of names, whoever asks
	FailedValidations   LimitName = "failed-validations"      // per name and account
	ConsecutiveFailures LimitName = "consecutive-failures"    // per name and account; the CA pauses the name beyond
)

// Granted are the limits that an override may be of; see PaceName for request rates.
var Granted = []LimitName{NewOrders, PerDomain, PerSet, FailedValidations, ConsecutiveFailures}

// Limit is a bucket of Burst tokens into which Count come back evenly every
// Period. The zero Limit is none.
type Limit struct {
	Name   LimitName
	Count  int
	Period time.Duration
	Burst  int // Count if zero
}

func (l Limit) set() bool { return l.Count > 0 && l.Period > 0 }

func (l Limit) burst() int {
	if l.Burst > 0 {
		return l.Burst
	}
	return l.Count
}

// interval is how long n tokens take to come back, rounded up to whole
// milliseconds, so that a bucket that is stored so is never too full.
func (l Limit) interval(n int) time.Duration {
	one := (l.Period + time.Duration(l.Count) - 1) / time.Duration(l.Count)
	one = (one + time.Millisecond - 1) / time.Millisecond * time.Millisecond
	return times(one, n)
}

// never is longer than anybody waits. What takes longer is said to take so long:
// beyond three such a time overflows.
const never = 100 * 365 * day

// times is n times d, at most never, and at least as long ago.
func times(d time.Duration, n int) time.Duration {
	switch most := never / max(d, 1); {
	case time.Duration(n) > most:
		return never
	case time.Duration(n) < -most:
		return -never
	}
	return time.Duration(n) * d
}

const week = 7 * day

// published are the limits that CAs have put in writing, by the label of the
// authority. Let's Encrypt: letsencrypt.org/docs/rate-limits of 2026-08-05 and
// /docs/staging-environment. A CA that is not here publishes none; what it
// allows is learned from its refusals.
var published = map[string][]Limit{
	"letsencrypt": {
		{Name: NewAccounts, Count: 10, Period: 3 * time.Hour},
		{Name: NewAccountsRange, Count: 500, Period: 3 * time.Hour},
		{Name: NewOrders, Count: 300, Period: 3 * time.Hour},
		{Name: PerDomain, Count: 50, Period: week},
		{Name: PerSet, Count: 5, Period: week},
		{Name: FailedValidations, Count: 5, Period: time.Hour},
		{Name: ConsecutiveFailures, Count: 1, Period: day, Burst: 1152},
	},
	"letsencrypt-staging": {
		{Name: NewOrders, Count: 1500, Period: 3 * time.Hour},
		{Name: PerSet, Count: 30000, Period: week},
		{Name: FailedValidations, Count: 200, Period: time.Hour},
	},
}

// directories are where the authorities are that publish limits, so that an
// operator may call them as he likes.
var directories = map[string]string{
	"https://acme-v02.api.letsencrypt.org/directory":         "letsencrypt",
	"https://acme-staging-v02.api.letsencrypt.org/directory": "letsencrypt-staging",
}

// BookName is what an authority's limits are kept under: the name of the CA where
// its directory is known, else the operator's label.
func BookName(label, directoryURL string) string {
	if name, ok := directories[directoryURL]; ok {
		return name
	}
	return label
}

// exempting are the authorities that ask renewals for less: none of the limits
// inside the renewal window, neither NewOrders nor PerDomain for the same set.
// Where nobody knows, nothing is exempt.
var exempting = map[string]bool{"letsencrypt": true, "letsencrypt-staging": true}

// Pace is how many requests a second from one address a CA takes at an endpoint.
type Pace struct {
	Endpoint  string // newNonce, newAccount, newOrder, revokeCert, renewalInfo, directory, or other
	PerSecond int
	Burst     int
}

// paces are those that CAs have put in writing; Let's Encrypt names none for its
// staging environment, where the same are safe. What others take is not known:
// an override says it.
var paces = map[string][]Pace{"letsencrypt": letsEncryptPaces, "letsencrypt-staging": letsEncryptPaces}

var letsEncryptPaces = []Pace{
	{"newNonce", 20, 10}, {"newAccount", 5, 15}, {"newOrder", 300, 200}, {"revokeCert", 10, 100},
	{"renewalInfo", 1000, 100}, {"directory", 40, 40}, {"other", 250, 125},
}

// Limit is the pace as a limit, for Spend.
func (p Pace) Limit() Limit {
	return Limit{Name: PaceName(p.Endpoint), Count: p.PerSecond, Period: time.Second, Burst: p.Burst}
}

// PaceName is what the pace of an endpoint is called among the limits.
func PaceName(endpoint string) LimitName { return LimitName("pace-" + endpoint) }

// IsPace reports whether a limit is one on requests from an address.
func (n LimitName) IsPace() bool { return strings.HasPrefix(string(n), "pace-") }

// Paces are the published request rates of an authority; none if it publishes none.
func Paces(authority string) []Pace { return append([]Pace(nil), paces[authority]...) }

// Published are the published limits of an authority by its label; none if it
// publishes none.
func Published(authority string) []Limit { return append([]Limit(nil), published[authority]...) }
