package work

import (
	"log/slog"
	"sync"
	"time"
)

// mostFailed is how many failures of one kind of work are told in quietFor. When a
// database stops, everything in flight fails at once and for one reason; each row
// is in what Queue tells of trouble all the same.
const mostFailed = 5

// failures tells of work that failed, some of each kind at a time. The zero value is
// ready to use.
type failures struct {
	mu    sync.Mutex
	kinds map[string]*burst // guarded by mu
}

// burst is what was told of one kind since it began.
type burst struct {
	began      time.Time
	told, kept int
}

// tell puts a failure into the log, unless enough of its kind were just now.
func (f *failures) tell(log *slog.Logger, kind string, id int64, err error) {
	kept, ok := f.passes(kind, time.Now())
	if !ok {
		return
	}
	l := log.With("kind", kind, "id", id, "err", err)
	if kept > 0 {
		l = l.With("kept_back", kept)
	}
	l.Warn("work failed")
}

// passes says whether one more of a kind is told, and how many were not since the
// last that was.
func (f *failures) passes(kind string, now time.Time) (kept int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.kinds[kind]
	if b == nil {
		b = &burst{began: now}
		if f.kinds == nil {
			f.kinds = map[string]*burst{}
		}
		f.kinds[kind] = b
	}
	if now.Sub(b.began) >= quietFor {
		b.began, b.told = now, 0
	}
	if b.told == mostFailed {
		b.kept++
		return 0, false
	}
	kept, b.kept, b.told = b.kept, 0, b.told+1
	return kept, true
}
