package edge

import (
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// Kind is which pair of a name is asked for.
type Kind = certfleet.SlotKind

// choose picks what is served: of the asked kind if one is, else ECDSA before RSA.
// A backup is never picked. What has expired or is revoked comes after all else,
// and the name itself before its wildcard.
func choose(found []store.Serving, kind Kind, now time.Time) (best store.Serving, ok bool) {
	top := -1
	for _, s := range found {
		if n := worth(s, kind, now); n > top {
			best, top = s, n
		}
	}
	return best, top >= 0
}

func worth(s store.Serving, kind Kind, now time.Time) int {
	if s.Slot == certfleet.SlotBackup || s.KeyID == 0 || kind != "" && s.Slot != kind {
		return -1
	}
	n := 0
	if !s.Revoked && now.Before(s.NotAfter) {
		n += 4
	}
	if !s.Name.IsWildcard() {
		n += 2
	}
	if s.Slot == certfleet.SlotECDSA {
		n++
	}
	return n
}

// wildcardOf is the wildcard name that would cover n; zero for an IP address, a
// wildcard and a name that no wildcard covers.
func wildcardOf(n certfleet.Name) certfleet.Name {
	s := n.String()
	if n.IsIP() || n.IsWildcard() {
		return certfleet.Name{}
	}
	for i := range len(s) {
		if s[i] == '.' {
			w, err := certfleet.ParseName("*" + s[i:])
			if err != nil {
				return certfleet.Name{}
			}
			return w
		}
	}
	return certfleet.Name{}
}
