package http01

import (
	"sync"
	"time"
)

// quietFor is how long lookups that fail are counted and not told: anybody may ask
// here, and when the database is away each question fails.
const quietFor = 30 * time.Second

// unanswered is how many lookups failed since one was told.
type unanswered struct {
	mu   sync.Mutex
	told time.Time // guarded by mu
	kept int       // guarded by mu
}

// tell says that a lookup failed, twice a minute at most.
func (h *Handler) tell(err error) {
	if kept, ok := h.unanswered.passes(time.Now()); ok {
		h.log("look up challenge", "error", err, "kept_back", kept)
	}
}

func (u *unanswered) passes(now time.Time) (kept int, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.told) < quietFor {
		u.kept++
		return 0, false
	}
	kept, u.kept, u.told = u.kept, 0, now
	return kept, true
}
