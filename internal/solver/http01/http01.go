// Package http01 answers http-01 challenges (RFC 8555 section 8.3) for any host
// and serves nothing else.
package http01

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// The bounds of one request; a CA needs far less of each.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	idleTimeout    = 30 * time.Second
	lookupTimeout  = 5 * time.Second
	maxHeader      = 16 << 10 // bytes
	maxBody        = 1 << 10  // bytes; nobody has a reason to send one
	maxToken       = 256      // characters; Let's Encrypt's have 43
)

const (
	pingToken = "ping"
	pong      = `{"message": "pong"}`
)

// Solver is the http-01 solver. Present and CleanUp do nothing, because the
// commit that puts the challenge on its order is what presents it: from then
// on every node's Handler finds the token through its Lookup.
type Solver struct{}

// Present does nothing; the commit of the challenge was it.
func (*Solver) Present(context.Context, certfleet.Challenge) ([]byte, error) { return nil, nil }

// CleanUp does nothing; the end of the order is it.
func (*Solver) CleanUp(context.Context, certfleet.Challenge, []byte) error { return nil }

// Lookup finds the key authorization of a token; ok is false when no open order has it.
type Lookup func(ctx context.Context, token string) (keyAuth string, ok bool, err error)

// Hit is told of each request for a token, after it was answered. It must not
// block. Token is empty when it had a form that no CA uses.
type Hit func(token, client string, known bool)

// Handler answers requests below certfleet.ChallengePath and is 404 to all else.
type Handler struct {
	Lookup  Lookup
	Hit     Hit            // nil to tell nobody
	Trusted []netip.Prefix // proxies whose X-Forwarded-For is believed
	Log     *slog.Logger   // nil for none

	unanswered unanswered
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.URL.Path, certfleet.ChallengePath)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
		return
	}
	if token == pingToken {
		write(w, "application/json", pong)
		return
	}
	h.answer(w, r, token)
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, token string) {
	if !wellFormed(token) {
		http.NotFound(w, r)
		h.hit("", r, false)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupTimeout)
	defer cancel()
	keyAuth, ok, err := h.Lookup(ctx, token)
	switch {
	case err != nil:
		h.tell(err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "the answer cannot be looked up now", http.StatusServiceUnavailable)
		return
	case !ok:
		http.NotFound(w, r)
	default:
		write(w, "application/octet-stream", keyAuth)
	}
	h.hit(token, r, ok)
}

func write(w http.ResponseWriter, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, body)
}

// wellFormed reports whether s can be a token: base64url (RFC 8555 section 8.1)
// of a bearable length. Anything else never reaches the store.
func wellFormed(s string) bool {
	return s != "" && len(s) <= maxToken && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func (h *Handler) hit(token string, r *http.Request, known bool) {
	if h.Hit != nil {
		h.Hit(token, Client(r, h.Trusted), known)
	}
}

func (h *Handler) log(msg string, args ...any) {
	if h.Log != nil {
		h.Log.Warn(msg, args...)
	}
}

// NewServer serves handler with a bound on everything that a stranger can
// stretch; the caller gives it a listener and shuts it down.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(handler, maxBody),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}
