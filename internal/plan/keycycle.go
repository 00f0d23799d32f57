package plan

import (
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// keyYear is how long single_use__reuse_1_year keeps a key.
const keyYear = 365 * day

// Cycle is the key cycle that counts: the policy's, unless it leaves it to the
// account or the system. The account may leave it to the system, the system to
// the account; single_use is what nobody says.
func Cycle(policy, account, system certfleet.KeyCycle) certfleet.KeyCycle {
	said := map[certfleet.KeyCycle]certfleet.KeyCycle{certfleet.KeyAccountDefault: account, certfleet.KeySystemDefault: system}
	c := policy
	for range said { // each is asked once at most
		if next, asks := said[c]; asks {
			c = next
		}
	}
	if _, asks := said[c]; asks || c == "" {
		return certfleet.KeySingleUse
	}
	return c
}

// Share names the key that a cycle shares at a moment, empty for a cycle that
// shares none. A key of another type is another key.
func Share(c certfleet.KeyCycle, now time.Time, account int64, t certfleet.KeyType) string {
	now = now.UTC()
	year, week := now.ISOWeek()
	daily, weekly := now.Format(time.DateOnly), fmt.Sprintf("%04d-W%02d", year, week)
	switch c {
	case certfleet.KeyGlobalDaily:
		return fmt.Sprintf("global %s %s", daily, t)
	case certfleet.KeyGlobalWeekly:
		return fmt.Sprintf("global %s %s", weekly, t)
	case certfleet.KeyAccountDaily:
		return fmt.Sprintf("account %d %s %s", account, daily, t)
	case certfleet.KeyAccountWeekly:
		return fmt.Sprintf("account %d %s %s", account, weekly, t)
	}
	return ""
}

// Held is a key that there is. Revoked says that a certificate with it was
// revoked for a reason that may be held against the key.
type Held struct {
	Key     *certfleet.Key
	Revoked bool
}

// usable reports whether a key may sign a further request: it is here, of the
// type that is wanted, and nothing was held against it.
func (h Held) usable(t certfleet.KeyType) bool {
	k := h.Key
	return k != nil && k.Custody == certfleet.CustodyCentral && len(k.Sealed) > 0 && k.CompromisedAt.IsZero() && !h.Revoked && (t == "" || k.Type == t)
}

// KeyAsk is what is known when an order needs its key.
type KeyAsk struct {
	Cycle    certfleet.KeyCycle // as Cycle answers it
	Type     certfleet.KeyType
	Keep     bool // the policy keeps a certificate's key whatever its age
	Now      time.Time
	Previous Held // the key of the version in use
	Shared   Held // the key that Share names
}

// PickKey is the key that serves once more, nil for a new one.
func PickKey(a KeyAsk) *certfleet.Key {
	switch {
	case Share(a.Cycle, a.Now, 0, a.Type) != "":
		if a.Shared.usable(a.Type) {
			return a.Shared.Key
		}
	case a.Keep:
		if a.Previous.usable(a.Type) {
			return a.Previous.Key
		}
	case a.Cycle == certfleet.KeyReuseYear:
		if a.Previous.usable(a.Type) && a.Now.Sub(a.Previous.Key.CreatedAt) < keyYear {
			return a.Previous.Key
		}
	}
	return nil
}
