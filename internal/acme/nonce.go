package acme

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
)

// Bounds of the pool. CAs keep nonces for hours or minutes without saying so;
// ten minutes is short enough for those whose age was looked at.
const (
	maxNonces   = 64
	maxNonceAge = 10 * time.Minute
)

type nonce struct {
	value string
	at    time.Time
}

// nonces are the anti-replay nonces at hand, newest last (RFC 8555 section 6.5).
type nonces struct {
	mu   sync.Mutex
	pool []nonce // under mu
}

// put keeps a nonce; one that is not base64url is ignored (RFC 8555 section 6.5.1).
func (n *nonces) put(value string, at time.Time) {
	if value == "" || len(value) > 1024 || !isBase64URL(value) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pool) >= maxNonces {
		n.pool = append(n.pool[:0], n.pool[1:]...)
	}
	n.pool = append(n.pool, nonce{value, at})
}

// take hands out the newest nonce, once, and forgets those that are too old.
func (n *nonces) take(now time.Time) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pool) == 0 {
		return "", false
	}
	last := n.pool[len(n.pool)-1]
	n.pool = n.pool[:len(n.pool)-1]
	if now.Sub(last.at) > maxNonceAge {
		n.pool = n.pool[:0]
		return "", false
	}
	return last.value, true
}

// keepNewest forgets all but the one that came last: one nonce refused means
// that those of its age are refused too.
func (n *nonces) keepNewest() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pool) > 1 {
		n.pool = append(n.pool[:0], n.pool[len(n.pool)-1])
	}
}

func (n *nonces) drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pool = n.pool[:0]
}

// nonce takes one from the pool or asks newNonce for one (RFC 8555 section 7.2).
func (c *Client) nonce(ctx context.Context) (string, error) {
	if v, ok := c.nonces.take(time.Now()); ok {
		return v, nil
	}
	dir, err := c.Directory(ctx)
	if err != nil {
		return "", err
	}
	const doing = "get a nonce"
	a, err := c.exchange(ctx, wire{kind: "nonce", doing: doing, method: http.MethodHead, url: dir.NewNonce})
	if err != nil {
		return "", err
	}
	if p := a.problem(); p != nil {
		return "", fmt.Errorf("%s: %w", doing, p)
	}
	if v := a.header.Get("Replay-Nonce"); isBase64URL(v) {
		return v, nil
	}
	return "", &certfleet.Error{Kind: certfleet.Unreachable, Msg: doing + ": the CA sent none", Advice: "look whether something else answers in the CA's place at " + hostOf(dir.NewNonce)}
}

func isBase64URL(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}
