package work

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// calm is a log that says the same words twice a minute at most.
type calm struct {
	slog.Handler
	*spoken
}

type spoken struct {
	mu   sync.Mutex
	last map[string]time.Time // when which words passed, guarded by mu
	kept map[string]int       // how often they did not since, guarded by mu
}

// quietFor is how long the same words are kept back.
const quietFor = 30 * time.Second

func newCalm(h slog.Handler) *calm {
	return &calm{h, &spoken{last: map[string]time.Time{}, kept: map[string]int{}}}
}

// WithAttrs is slog's.
func (c *calm) WithAttrs(a []slog.Attr) slog.Handler { return &calm{c.Handler.WithAttrs(a), c.spoken} }

// WithGroup is slog's.
func (c *calm) WithGroup(name string) slog.Handler { return &calm{c.Handler.WithGroup(name), c.spoken} }

// Handle lets the record pass, unless its words did so just now.
func (c *calm) Handle(ctx context.Context, r slog.Record) error {
	kept, ok := c.passes(r.Message)
	if !ok {
		return nil
	}
	if kept > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("kept_back", kept))
	}
	return c.Handler.Handle(ctx, r)
}

func (s *spoken) passes(words string) (kept int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[words]; ok && time.Since(last) < quietFor {
		s.kept[words]++
		return 0, false
	}
	kept = s.kept[words]
	s.last[words], s.kept[words] = time.Now(), 0
	return kept, true
}

// rivers is River's log. It tells much of what it does, of which only warnings pass.
// When the database is gone each of its dozens of parts says so: all it says is
// taken for the same words.
type rivers struct{ slog.Handler }

// Enabled is slog's question.
func (h rivers) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// WithAttrs is slog's.
func (h rivers) WithAttrs(a []slog.Attr) slog.Handler { return rivers{h.Handler.WithAttrs(a)} }

// WithGroup is slog's.
func (h rivers) WithGroup(name string) slog.Handler { return rivers{h.Handler.WithGroup(name)} }

// Handle puts River's words beside ours. It goes on by itself after each of them.
func (h rivers) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, slog.LevelWarn, "trouble with the queue of work, which goes on by itself", r.PC)
	out.AddAttrs(slog.String("said", r.Message))
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, out)
}
