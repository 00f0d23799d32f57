package web

import (
	"context"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
)

// badges remembers tokens for as long as edges are answered from memory, so that
// a lookup asks the store nothing. A token that was revoked opens for no longer.
type badges struct {
	mu    sync.Mutex
	known map[string]badge // by the header, hashed; guarded by mu
}

type badge struct {
	token *certfleet.Token
	until time.Time
}

// badgeLife and mostBadges bound what is remembered.
const (
	badgeLife  = time.Second
	mostBadges = 1000
)

func (b *badges) get(hash string, now time.Time) *certfleet.Token {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one, ok := b.known[hash]; ok && now.Before(one.until) {
		return one.token
	}
	return nil
}

// put remembers a token, never beyond its end.
func (b *badges) put(hash string, t *certfleet.Token, now time.Time) {
	until := now.Add(badgeLife)
	if !t.ExpiresAt.IsZero() && t.ExpiresAt.Before(until) {
		until = t.ExpiresAt
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil || len(b.known) >= mostBadges {
		b.known = map[string]badge{}
	}
	b.known[hash] = badge{t, until}
}

// identifyEdge is identify for what is asked in handshakes.
func (s *server) identifyEdge(ctx context.Context, header string) (*certfleet.Token, error) {
	now, hash := time.Now(), hashOf(header)
	if t := s.badges.get(hash, now); t != nil {
		s.used(ctx, t)
		return t, nil
	}
	t, err := s.identify(ctx, header)
	if err == nil {
		s.badges.put(hash, t, now)
	}
	return t, err
}
