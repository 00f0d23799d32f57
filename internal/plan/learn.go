package plan

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Refusal is a CA's no for a limit's sake.
type Refusal struct {
	Authority string
	Account   string // its URL
	Names     []certfleet.Name
	Detail    string    // as the CA said it
	Help      string    // the page it points to
	RetryAt   time.Time // from Retry-After; zero when it named no time
}

// Lesson is what a refusal taught: nothing that touches Key before Until. A zero
// Until waits for a person (a paused name).
type Lesson struct {
	Key    Key
	Until  time.Time
	Detail string
}

// Longest is the longest wait that a CA can mean by a refusal for the limit of a
// key: until an empty bucket is full again, where the limit is known.
func (b *Book) Longest(k Key) time.Duration {
	l, _ := b.limit(k.Limit, k.Account, k.Subject)
	if !l.set() {
		return maxLearned
	}
	return min(l.interval(l.burst()), maxLearned)
}

// Stops reports whether a lesson stops an order. One on an account's orders lets
// exempt renewals pass, and one on a name leaves the account's other names alone.
// A paused name stops any order for it.
func (b *Book) Stops(l Lesson, a Asking, now time.Time) bool {
	if !l.Until.IsZero() && !l.Until.After(now) {
		return false
	}
	return slices.ContainsFunc(b.all(a), func(t Touch) bool { return !t.Free && l.Key.covers(t.Key) })
}

// Watched are the keys of all lessons that might stop an order, each once.
func (b *Book) Watched(a Asking) []Key {
	var out []Key
	for _, t := range b.all(a) {
		if t.Free {
			continue
		}
		out = append(out, t.Key)
		if all := t.Key; all.Account != "" {
			all.Account = ""
			out = append(out, all)
		}
	}
	return out
}

// Empty is a bucket from which nothing can be taken until a moment that the CA
// named, as its own count then is at least as far.
func Empty(b Bucket, l Limit, until time.Time) Bucket {
	if !l.set() {
		return b
	}
	full := until.Add(l.interval(l.burst() - 1))
	return Bucket{TAT: later(b.TAT, full), Held: b.Held}
}

// covers reports whether what is said of k holds for one: without an account it
// holds for all of them.
func (k Key) covers(one Key) bool {
	if k.Account == "" {
		one.Account = ""
	}
	return k == one
}

// learnedWait is how long a CA is believed that names no time: long enough not
// to press, short enough to notice soon.
const learnedWait = 15 * time.Minute

// maxLearned bounds what a CA may ask for; no published limit is longer.
const maxLearned = 8 * day

// signs are words by which CAs that run Boulder name a limit, most telling first.
var signs = []struct {
	word  string
	limit LimitName
}{
	{"paused", ConsecutiveFailures},
	{"temporarily prevented from requesting", ConsecutiveFailures},
	{"exact-set", PerSet}, {"exact set", PerSet},
	{"failed authorizations", FailedValidations}, {"authorization-failures", FailedValidations},
	{"registered-domain", PerDomain}, {"already issued for", PerDomain},
	{"new registrations", NewAccounts}, {"new-registrations", NewAccounts},
}

// Learn reads a refusal. What names no limit stops the account's new orders,
// because pressing on would cost more than waiting.
func Learn(r Refusal, now time.Time) Lesson {
	limit, text := NewOrders, strings.ToLower(r.Detail+" "+r.Help)
	for _, s := range signs {
		if strings.Contains(text, s.word) {
			limit = s.limit
			break
		}
	}
	l := Lesson{Key: Key{Authority: r.Authority, Limit: limit}, Until: until(r, now), Detail: r.Detail}
	switch limit {
	case PerSet:
		l.Key.Subject = setSubject(r.Names)
	case PerDomain:
		l.Key.Subject = mentioned(r, CountedAs)
	case FailedValidations:
		l.Key.Account, l.Key.Subject = r.Account, mentioned(r, certfleet.Name.Base)
	case ConsecutiveFailures:
		l.Key.Account, l.Key.Subject, l.Until = r.Account, mentioned(r, certfleet.Name.Base), time.Time{}
	default:
		l.Key.Account = r.Account
	}
	return l
}

// mentioned is the order's name that the CA spoke of, or its first.
func mentioned(r Refusal, as func(certfleet.Name) string) string {
	said := words.Split(strings.ToLower(r.Detail), -1)
	for _, n := range r.Names {
		if slices.Contains(said, as(n)) {
			return as(n)
		}
	}
	if len(r.Names) == 0 {
		return ""
	}
	return as(r.Names[0])
}

var (
	words   = regexp.MustCompile(`[\s",;()]+`)
	retryIn = regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC`)
)

func until(r Refusal, now time.Time) time.Time {
	at := r.RetryAt
	if m := retryIn.FindStringSubmatch(r.Detail); at.IsZero() && m != nil {
		at, _ = time.Parse(time.DateTime, m[1])
	}
	if !at.After(now) {
		return now.Add(learnedWait)
	}
	if most := now.Add(maxLearned); at.After(most) {
		return most
	}
	return at
}
