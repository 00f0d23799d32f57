package plan

import (
	"slices"
	"time"

	"github.com/certfleet/certfleet"
)

// Chooses says which of so many authorities of a policy the next order goes to: the
// first, or the second when the first has failed for so long that half of the time
// set aside for renewing is gone (see FailsOver), and the names may be had there.
func Chooses(authorities int, now, notBefore, notAfter time.Time, failures int, permitted func() bool) int {
	if authorities > 1 && FailsOver(now, notBefore, notAfter, failures) && permitted() {
		return 1
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
