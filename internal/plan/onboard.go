package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Wish is a set of names that should get a certificate together.
type Wish struct {
	Label string // empty for a name that stands alone
	Names []certfleet.Name
}

// Onboarding is how new names could be brought in one way.
type Onboarding struct {
	Packing      string // listed, single or packed
	Certificates int
	Takes        time.Duration // from an untouched account, at best
	Binds        LimitName     // the limit that takes longest; empty when none does
	Bounds       []Bound       // what each limit alone would take, the longest first
}

// Bound is what one limit of a CA does to an onboarding.
type Bound struct {
	Limit   Limit
	Subject string // the registered domain or set of names that wants most; empty for an account's limit
	Needs   int    // tokens of that bucket
	Takes   time.Duration
	Others  int // further buckets of the limit that do not do at once
	// Ask is the limit to ask the CA for so that it takes no longer than wanted;
	// zero when it does not, or when CAs grant no override of it.
	Ask Limit
}

// mostNames is how many names a certificate may have, by Let's Encrypt's profiles.
var mostNames = map[string]int{"": 100, "classic": 100, "tlsserver": 25, "shortlived": 25}

// MostNames is how many names a certificate of a profile may have; false when
// nobody knows the profile.
func MostNames(profile string) (int, bool) {
	n, ok := mostNames[profile]
	return n, ok
}

// Onboard says how long it takes to get certificates for all names under the
// limits of an account at an authority: as they are listed (when any are listed
// together), with one name each, and packed by registered domain with up to most
// names each. Within is how long it should take at most. Names that are listed
// twice count once.
func Onboard(b *Book, account string, wishes []Wish, most int, within time.Duration) []Onboarding {
	names := distinct(wishes)
	var out []Onboarding
	if slices.ContainsFunc(wishes, func(w Wish) bool { return len(w.Names) > 1 }) {
		var sets [][]certfleet.Name
		for _, w := range wishes {
			sets = append(sets, w.Names)
		}
		out = append(out, b.onboard("listed", account, sets, within))
	}
	single := make([][]certfleet.Name, len(names))
	for i := range names {
		single[i] = names[i : i+1]
	}
	return append(out, b.onboard("single", account, single, within), b.onboard("packed", account, pack(names, most), within))
}

func distinct(wishes []Wish) []certfleet.Name {
	seen := map[certfleet.Name]bool{}
	var out []certfleet.Name
	for _, w := range wishes {
		for _, n := range w.Names {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out
}

// pack puts names of one registered domain together. An address stands alone.
func pack(names []certfleet.Name, most int) [][]certfleet.Name {
	at := map[string]int{} // the set of a domain that has room
	var out [][]certfleet.Name
	for _, n := range names {
		d := CountedAs(n)
		if i, ok := at[d]; ok && !n.IsIP() && len(out[i]) < most {
			out[i] = append(out[i], n)
			continue
		}
		at[d] = len(out)
		out = append(out, []certfleet.Name{n})
	}
	return out
}

func (b *Book) onboard(packing, account string, sets [][]certfleet.Name, within time.Duration) Onboarding {
	o := Onboarding{Packing: packing, Certificates: len(sets)}
	need := map[LimitName]map[string]int{}
	add := func(name LimitName, subject string) {
		if need[name] == nil {
			need[name] = map[string]int{}
		}
		need[name][subject]++
	}
	for _, set := range sets {
		add(NewOrders, "")
		add(PerSet, setSubject(set))
		domains := map[string]bool{}
		for _, n := range set {
			if d := CountedAs(n); !domains[d] {
				domains[d] = true
				add(PerDomain, d)
			}
		}
	}
	for name, subjects := range need {
		if bound, ok := b.bound(name, account, subjects, within); ok {
			o.Bounds = append(o.Bounds, bound)
		}
	}
	slices.SortFunc(o.Bounds, func(x, y Bound) int {
		return cmp.Or(cmp.Compare(y.Takes, x.Takes), strings.Compare(string(x.Limit.Name), string(y.Limit.Name)))
	})
	if len(o.Bounds) > 0 && o.Bounds[0].Takes > 0 {
		o.Takes, o.Binds = o.Bounds[0].Takes, o.Bounds[0].Limit.Name
	}
	return o
}

// bound is what the bucket does that takes longest of those of one limit.
func (b *Book) bound(name LimitName, account string, subjects map[string]int, within time.Duration) (worst Bound, ok bool) {
	slow := 0
	for subject, n := range subjects {
		domain := ""
		if name == PerDomain {
			domain = subject
		}
		l, _ := b.limit(name, account, domain)
		if !l.set() {
			continue
		}
		takes := l.interval(max(n-l.burst(), 0))
		if takes > 0 {
			slow++
		}
		if !ok || takes > worst.Takes || takes == worst.Takes && (n > worst.Needs || n == worst.Needs && subject < worst.Subject) {
			worst, ok = Bound{Limit: l, Subject: subject, Needs: n, Takes: takes}, true
		}
	}
	worst.Others = max(slow-1, 0)
	if worst.Takes > within && name != PerSet {
		worst.Ask = enough(worst.Limit, worst.Needs, within)
	}
	return worst, ok
}

// enough is the limit under which n tokens come within a time: those that are
// there at once and those that come back meanwhile.
func enough(l Limit, n int, within time.Duration) Limit {
	rounds := 1 + float64(within)/float64(l.Period)
	count := int(float64(n)/rounds) + 1
	step := 10
	for step*10 <= count {
		step *= 10
	}
	return Limit{Name: l.Name, Count: (count + step - 1) / step * step, Period: l.Period}
}
