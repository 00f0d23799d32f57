package plan

import (
	"slices"
	"time"

	"github.com/certfleet/certfleet"
)

// Chooses says which of so many authorities of a policy the next order goes to: the
// first; when it has failed for so long that half of the time set aside for renewing
// is gone (see FailsOver), the one after that where the last order failed, if the
// names may be had there. So when all of them fail, each is asked in turn, and the
// first that is back is found. last is -1 where no order failed.
func Chooses(authorities int, now, notBefore, notAfter time.Time, failures int, last func() int, permitted func(int) bool) int {
	if authorities < 2 || !FailsOver(now, notBefore, notAfter, failures) {
		return 0
	}
	return Next(authorities, max(last(), 0), permitted)
}

// Next is the authority of so many to ask after the one at last: of those after it,
// in turn, where the names may be had, or the first.
func Next(authorities, last int, permitted func(int) bool) int {
	for i := last + 1; i < authorities; i++ {
		if permitted(i) {
			return i
		}
	}
	return 0
}

// Replaces reports whether an order stands for a version as RFC 9773 section 5 has
// it: same authority and account, at least one of its names, not replaced before.
// The account is the one that ordered the version.
func Replaces(v *certfleet.Version, o *certfleet.Order, account int64) bool {
	return v.ARIID != "" && v.AuthorityID == o.AuthorityID && v.ReplacedBy == 0 && account == o.AccountID && shares(v.Names, o.Names)
}

// Names are those of the next order of a certificate: the ones that are wanted. In
// an emergency it is exactly the set of the version in use at the same authority, if
// all of that is still wanted, because CAs ask nothing of a set that they know;
// what came since is ordered next.
func Names(lane certfleet.Lane, wanted, inUse []certfleet.Name) []certfleet.Name {
	if lane != certfleet.LaneEmergency || len(inUse) == 0 || !within(inUse, wanted) {
		return wanted
	}
	return inUse
}

// within reports whether all of a are among b.
func within(a, b []certfleet.Name) bool {
	return !slices.ContainsFunc(a, func(n certfleet.Name) bool { return !slices.Contains(b, n) })
}

func shares(a, b []certfleet.Name) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}
