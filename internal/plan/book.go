package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Override is what a CA granted an operator beyond its published limit, or what
// an operator knows of a CA that publishes none. Its empty fields match all.
type Override struct {
	Authority string
	Account   string // the account's URL
	Domain    string // a registered domain, for PerDomain alone
	Limit     Limit
}

// Book is what one authority allows: its published limits and the overrides.
type Book struct {
	authority string
	limits    []Limit
	overrides []Override // the most specific first
}

// NewBook opens the book of an authority by its label. Limits other than the
// published ones are overrides that name neither account nor domain.
func NewBook(authority string, overrides []Override) *Book {
	b := &Book{authority: authority, limits: Published(authority)}
	for _, p := range Paces(authority) {
		b.limits = append(b.limits, p.Limit())
	}
	for _, o := range overrides {
		if o.Authority == "" || o.Authority == authority {
			b.overrides = append(b.overrides, o)
		}
	}
	slices.SortStableFunc(b.overrides, func(x, y Override) int { return y.weight() - x.weight() })
	return b
}

func (o Override) weight() (w int) {
	for i, s := range []string{o.Authority, o.Account, o.Domain} {
		if s != "" {
			w += 1 << i
		}
	}
	return w
}

// Limits are those that hold for any account and domain.
func (b *Book) Limits() []Limit {
	out := slices.Clone(b.limits)
	for _, o := range b.overrides {
		if !slices.ContainsFunc(out, func(l Limit) bool { return l.Name == o.Limit.Name }) {
			out = append(out, Limit{Name: o.Limit.Name})
		}
	}
	for i := range out {
		out[i], _ = b.limit(out[i].Name, "", "")
	}
	return slices.DeleteFunc(out, func(l Limit) bool { return !l.set() })
}

// limit is what holds for an account and a registered domain, and the override
// that says so, if one does.
func (b *Book) limit(name LimitName, account, domain string) (Limit, Override) {
	for _, o := range b.overrides {
		if o.Limit.Name == name && (o.Account == "" || o.Account == account) && (o.Domain == "" || o.Domain == domain) {
			return o.Limit, o
		}
	}
	for _, l := range b.limits {
		if l.Name == name {
			return l, Override{}
		}
	}
	return Limit{}, Override{}
}

// Key names one bucket. Account is empty where the CA counts all accounts together.
type Key struct {
	Authority string
	Account   string
	Limit     LimitName
	Subject   string // a registered domain, a name or a set of names
}

// String is the key on one line, as the ledger stores and shows it.
func (k Key) String() string {
	return strings.Join([]string{k.Authority, k.Account, string(k.Limit), k.Subject}, "|")
}

// ParseKey reads what String wrote.
func ParseKey(s string) (Key, bool) {
	p := strings.SplitN(s, "|", 4)
	if len(p) != 4 {
		return Key{}, false
	}
	return Key{p[0], p[1], LimitName(p[2]), p[3]}, true
}

// AccountName is what an account's buckets are kept under: its URL, or until it
// has one its number.
func AccountName(url string, id int64) string {
	if url == "" {
		return "account:" + strconv.FormatInt(id, 10)
	}
	return url
}

// When says what a limit counts.
type When string

// What limits count.
const (
	Asked  When = "asked"  // a request that the CA took
	Issued When = "issued" // a certificate
	Failed When = "failed" // a validation that failed
)

// Touch is one bucket that an order touches. Free tokens are not asked for, but
// are counted all the same.
type Touch struct {
	Key   Key
	Limit Limit
	When  When
	Free  bool
}

// Asking is an order that is about to be placed.
type Asking struct {
	Account string // its URL
	Names   []certfleet.Name
	// InWindow: it replaces a certificate whose renewal window it reaches (see
	// Window.Holds); the CA asks no limit then.
	InWindow bool
	// SameSet: a certificate for exactly these names was issued before; the CA
	// asks neither NewOrders nor PerDomain then.
	SameSet bool
	// Again: the answer to the first request was lost, and what it touched is
	// still held; only the request counts a second time.
	Again bool
}

// Holds reports whether a request at this moment is inside the window, whose end
// is exclusive. Only then do CAs that exempt renewals do so.
func (w Window) Holds(at time.Time) bool { return !at.Before(w.Start) && at.Before(w.End) }

// Touches says which buckets an order touches, each once, in a stable order.
// Limits that are not known are left out.
func (b *Book) Touches(a Asking) []Touch {
	return slices.DeleteFunc(b.all(a), func(t Touch) bool { return !t.Limit.set() })
}

// all are the buckets an order touches, with those of limits nobody knows.
func (b *Book) all(a Asking) []Touch {
	if !exempting[b.authority] {
		a.InWindow, a.SameSet = false, false
	}
	var out touches
	if !a.InWindow && !a.SameSet {
		out.add(b.touch(NewOrders, a.Account, "", Asked, false))
	}
	if a.Again {
		return out
	}
	for _, n := range a.Names {
		if !a.SameSet {
			b.addDomain(&out, a, CountedAs(n))
		}
	}
	out.add(b.touch(PerSet, "", setSubject(a.Names), Issued, a.InWindow))
	for _, n := range a.Names {
		out.add(b.touch(FailedValidations, a.Account, n.Base(), Failed, a.InWindow))
		out.add(b.touch(ConsecutiveFailures, a.Account, n.Base(), Failed, false))
	}
	return out
}

type touches []Touch

func (ts *touches) add(t Touch) {
	if !slices.ContainsFunc(*ts, func(u Touch) bool { return u.Key == t.Key }) {
		*ts = append(*ts, t)
	}
}

func (b *Book) touch(name LimitName, account, subject string, when When, free bool) Touch {
	l, _ := b.limit(name, account, "")
	return Touch{Key{b.authority, account, name, subject}, l, when, free}
}

// addDomain touches the bucket of a registered domain. An account that has an
// override has a bucket of its own, and the common one is counted besides.
func (b *Book) addDomain(out *touches, a Asking, domain string) {
	l, o := b.limit(PerDomain, a.Account, domain)
	out.add(Touch{Key{b.authority, o.Account, PerDomain, domain}, l, Issued, a.InWindow})
	if o.Account != "" {
		common, _ := b.limit(PerDomain, "", domain)
		out.add(Touch{Key{b.authority, "", PerDomain, domain}, common, Issued, true})
	}
}

// Open holds a token for an order about to be placed.
func (t Touch) Open(b Bucket, now time.Time) (next Bucket, ok bool, retryAt time.Time) {
	if t.Free {
		b.Held++
		return b, true, time.Time{}
	}
	return Hold(b, t.Limit, now, 1)
}

// Close ends what Open began: counted says whether the CA counted it, or may
// have. A success forgets all consecutive failures.
func (t Touch) Close(b Bucket, now time.Time, counted bool) Bucket {
	switch {
	case counted:
		return Settle(b, t.Limit, now, 1)
	case t.Key.Limit == ConsecutiveFailures:
		return Bucket{Held: max(b.Held-1, 0)}
	}
	return Release(b, 1)
}

// CountedAs is what PerDomain counts a name under: its registered domain, its
// IPv4 address, or the /64 of its IPv6 address.
func CountedAs(n certfleet.Name) string {
	if ip := n.IP(); ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return n.RegisteredDomain()
}

// maxSubject keeps the keys of large sets short.
const maxSubject = 200

func setSubject(names []certfleet.Name) string {
	key := certfleet.SetKey(names)
	if len(key) <= maxSubject {
		return key
	}
	first, _, _ := strings.Cut(key, ",")
	sum := sha256.Sum256([]byte(key))
	return fmt.Sprintf("%s and %d more %s", first, len(names)-1, hex.EncodeToString(sum[:16]))
}
