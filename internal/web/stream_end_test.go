package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

func TestAStreamEndsWithItsToken(t *testing.T) {
	k := newKit(t)
	by, err := k.db.TokenByHash(t.Context(), hashOf(k.tokens[certfleet.ScopeRead]), time.Now())
	must(t, err)
	answer := httptest.NewRecorder()
	l := &listener{s: &server{Deps: Deps{DB: k.db}}, by: by, tenant: 1, beat: 10 * time.Millisecond, w: &sseWriter{w: answer, rc: http.NewResponseController(answer)}}
	ended := make(chan struct{})
	go func() { defer close(ended); l.run(t.Context(), nil) }()
	select {
	case <-ended:
		t.Fatal("the stream of a good token ended")
	case <-time.After(100 * time.Millisecond):
	}
	must(t, k.db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { return tx.RevokeToken(t.Context(), by.Tenant, by.Label) }))
	select {
	case <-ended:
	case <-time.After(trial.Patience):
		t.Error("a revoked token still listens")
	}
}
