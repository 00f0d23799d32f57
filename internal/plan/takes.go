package plan

import (
	"slices"
	"sort"
	"time"
)

// Pacing is how long something takes under the limits of a CA, and which limit
// says so; an empty one means that none is known.
type Pacing struct {
	Takes time.Duration
	Limit LimitName
}

// Renewing is how long n renewals for the same names take with one account, if
// nothing of the limits is used yet: as far as new orders are counted, which some
// CAs do not do for renewals, and at the pace at which one node asks.
func (b *Book) Renewing(n int, account string) Pacing {
	out := Pacing{}
	if l, ok := b.Pace("newOrder"); ok {
		out = slower(out, l.Share(1), n)
	}
	if !exempting[b.authority] {
		l, _ := b.limit(NewOrders, account, "")
		out = slower(out, l, n)
	}
	return out
}

// RenewingWithin is how many of n renewals are done in so much time, under the
// same limits.
func (b *Book) RenewingWithin(n int, account string, in time.Duration) int {
	if in <= 0 {
		return 0
	}
	return sort.Search(n, func(i int) bool { return b.Renewing(i+1, account).Takes > in })
}

// CountsDomains reports whether renewals are counted by registered domain.
func (b *Book) CountsDomains() bool {
	return !exempting[b.authority] && slices.ContainsFunc(b.Limits(), func(l Limit) bool { return l.Name == PerDomain })
}

// RenewingOf is how long n renewals of names of one registered domain take, as far
// as the CA counts those, and how many of them are done in a time.
func (b *Book) RenewingOf(domain string, n int, account string, in time.Duration) (all Pacing, done int) {
	l, _ := b.limit(PerDomain, account, domain)
	if exempting[b.authority] || !l.set() {
		return Pacing{}, n
	}
	return slower(Pacing{}, l, n), sort.Search(n, func(i int) bool { return slower(Pacing{}, l, i+1).Takes > in })
}

// Revoking is how long n revocations take at the pace at which one node asks.
func (b *Book) Revoking(n int) Pacing {
	l, _ := b.Pace("revokeCert")
	return slower(Pacing{}, l.Share(1), n)
}

// slower is the longer of two ways to spend n tokens.
func slower(is Pacing, l Limit, n int) Pacing {
	if !l.set() || n <= l.burst() {
		return is
	}
	if d := l.interval(n - l.burst()); d > is.Takes {
		return Pacing{d, l.Name}
	}
	return is
}
