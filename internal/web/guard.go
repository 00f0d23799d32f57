package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// tokenPrefix begins every token, so that one is known when it is found where
// it should not be.
const tokenPrefix = "cf_"

// NewToken makes a token's secret, with 256 random bits, and the hash that is
// kept of it. A fast hash is enough: nobody guesses 256 bits.
func NewToken() (secret, hash string) {
	b := make([]byte, 32)
	rand.Read(b)
	secret = tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
	return secret, hashOf(secret)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

type whoKey struct{}

// Trusted lets every request through as actor, with all scopes, without a
// token. It is for callers in the same process.
func Trusted(h http.Handler, actor string) http.Handler {
	who := &certfleet.Token{Tenant: certfleet.DefaultTenant, Label: actor, Scopes: certfleet.Scopes}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := store.WithActor(context.WithValue(r.Context(), whoKey{}, who), actor)
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// who is the token that a request came with.
func who(ctx context.Context) *certfleet.Token {
	t, _ := ctx.Value(whoKey{}).(*certfleet.Token)
	return t
}

func tenant(ctx context.Context) int64 {
	if t := who(ctx); t != nil {
		return max(t.Tenant, certfleet.DefaultTenant)
	}
	return certfleet.DefaultTenant
}

// scopeOf is the scope that an operation requires.
func scopeOf(op *huma.Operation) certfleet.Scope {
	for _, sec := range op.Security {
		for _, scope := range sec["token"] {
			return certfleet.Scope(scope)
		}
	}
	return certfleet.ScopeAdmin
}

// guard lets an operation be reached with a token of the right scope only.
func (s *server) guard(hc huma.Context, next func(huma.Context)) {
	if s.admit(hc, next) {
		return
	}
	ctx := hc.Context()
	t := who(ctx)
	if t == nil {
		var err error
		if t, err = s.caller(hc); err != nil {
			s.refuse(hc, s.problemOf(ctx, err))
			return
		}
		ctx = store.WithActor(context.WithValue(ctx, whoKey{}, t), "token:"+t.Label)
	}
	requestOf(ctx).said = store.ActorOf(ctx)
	if want := scopeOf(hc.Operation()); !t.Allows(want) {
		s.refuse(hc, newProblem(ctx, http.StatusForbidden, fmt.Sprintf("this needs a token with scope %s", want), fmt.Sprintf("use a token with scope %s, or have one made", want)))
		return
	}
	next(huma.WithContext(hc, ctx))
}

// caller is whose request it is. For what edges ask, a trusted network may do.
func (s *server) caller(hc huma.Context) (*certfleet.Token, error) {
	header := hc.Header("Authorization")
	if scopeOf(hc.Operation()) != certfleet.ScopeEdge {
		return s.identify(hc.Context(), header)
	}
	if r, _ := humago.Unwrap(hc); header == "" && s.trusts(r) {
		return neighbour(), nil
	}
	return s.identifyEdge(hc.Context(), header)
}

// refuse answers a problem without reading the request any further.
func (s *server) refuse(hc huma.Context, p *Problem) {
	for k, v := range p.GetHeaders() {
		hc.SetHeader(k, v[0])
	}
	hc.SetHeader("Content-Type", p.ContentType(""))
	hc.SetStatus(p.Status)
	_ = s.api.Marshal(hc.BodyWriter(), "application/json", p) // the caller is gone, or reads it
}

// identify finds the token that the header shows.
func (s *server) identify(ctx context.Context, header string) (*certfleet.Token, error) {
	scheme, secret, _ := strings.Cut(header, " ")
	secret = strings.TrimSpace(secret)
	switch {
	case header == "":
		return nil, newProblem(ctx, http.StatusUnauthorized, "this needs a token", "send the header Authorization: Bearer cf_...")
	case !strings.EqualFold(scheme, "bearer") || !strings.HasPrefix(secret, tokenPrefix):
		return nil, newProblem(ctx, http.StatusUnauthorized, "this is no token of a certfleet server", "send the header Authorization: Bearer cf_...")
	}
	t, err := s.DB.TokenByHash(ctx, hashOf(secret), time.Now())
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil, newProblem(ctx, http.StatusUnauthorized, "the token is not known here, was revoked or has expired", "use another token, or have one made")
	}
	if err != nil {
		return nil, err
	}
	s.used(ctx, t)
	return t, nil
}

// tokens remembers when uses were last noted.
type tokens struct {
	mu   sync.Mutex
	seen map[int64]time.Time // by token, guarded by mu
}

// due reports whether a token's use is to be noted: once a minute.
func (t *tokens) due(id int64, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.seen[id]) < time.Minute {
		return false
	}
	if t.seen == nil {
		t.seen = map[int64]time.Time{}
	}
	t.seen[id] = now
	return true
}

// used notes that a token was used. A store that cannot be written now does not
// stop anybody from reading.
func (s *server) used(ctx context.Context, t *certfleet.Token) {
	now := time.Now()
	if s.ReadOnly || now.Sub(t.UsedAt) < time.Minute || !s.tokens.due(t.ID, now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.DB.Tx(ctx, now, func(tx *store.Tx) error { return tx.TokenUsed(ctx, t.ID) }); err != nil {
		s.Log.Debug("cannot note the use of a token", "token_id", t.ID, "err", err)
	}
}
