package web

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// plain are the pages that need no token: health, metrics, documentation. They
// show no name and no label.
func (s *server) plain(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, "text/plain; charset=utf-8", "ok\n")
	})
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.metrics())
	s.documentation(mux)
	mux.HandleFunc("/", s.nothing)
}

func writeText(w http.ResponseWriter, media, text string) {
	w.Header().Set("Content-Type", media)
	_, _ = w.Write([]byte(text)) // the caller is gone, or reads it
}

func writeJSON(w http.ResponseWriter, media string, status int, v any) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone, or reads it
}

// nothing answers what is not there in the same form as everything else.
func (s *server) nothing(w http.ResponseWriter, r *http.Request) {
	p := newProblem(r.Context(), http.StatusNotFound, "there is nothing at this path", "see /docs for what there is")
	writeJSON(w, p.ContentType(""), p.Status, p)
}

// readyTime bounds the checks of readiness. readyAge is how long their outcome is
// told, so that many who ask, with no token, cost the database and the keeper of the
// sealing key no more than one.
const (
	readyTime = 5 * time.Second
	readyAge  = time.Second
)

// readiness is what the last checks came to.
type readiness struct {
	mu sync.Mutex
	at time.Time  // guarded by mu
	is api.Health // guarded by mu
}

// health says whether this node can work: the database answers, and the sealing key
// opens a data key.
func (s *server) health(ctx context.Context) api.Health {
	s.readiness.mu.Lock()
	defer s.readiness.mu.Unlock()
	if time.Since(s.readiness.at) < readyAge {
		return s.readiness.is
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTime)
	defer cancel()
	h := api.Health{Ready: true}
	for _, c := range []struct {
		name string
		look func(context.Context) error
	}{{"database", s.DB.Ping}, {"sealing_key", s.Keys.Check}} {
		check := api.HealthCheck{Name: c.name, OK: true}
		if err := c.look(ctx); err != nil {
			p := s.problemOf(ctx, err)
			check.OK, check.Problem, check.Advice = false, p.Detail, p.Advice
			h.Ready = false
		}
		h.Checks = append(h.Checks, check)
	}
	s.readiness.at, s.readiness.is = time.Now(), h
	return h
}

// ready answers whether this node can work.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	h := s.health(r.Context())
	if h.Ready {
		writeJSON(w, "application/json", http.StatusOK, h)
		return
	}
	p := newProblem(r.Context(), http.StatusServiceUnavailable, "this server cannot work now", "")
	p.Kind = certfleet.Unreachable.String()
	for _, c := range h.Checks {
		if !c.OK {
			p.Errors, p.Advice = append(p.Errors, api.ProblemField{Location: c.Name, Message: c.Problem}), c.Advice
		}
	}
	writeJSON(w, p.ContentType(""), p.Status, p)
}
