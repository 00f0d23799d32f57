package web

import (
	"context"
	"encoding/json"
	"net/http"
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

// readyTime bounds the checks of readiness.
const readyTime = 5 * time.Second

// ready answers whether this node can work: the database answers, and the
// sealing key opens a data key.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
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
	if h.Ready {
		writeJSON(w, "application/json", http.StatusOK, h)
		return
	}
	p := newProblem(ctx, http.StatusServiceUnavailable, "this server cannot work now", "")
	p.Kind = certfleet.Unreachable.String()
	for _, c := range h.Checks {
		if !c.OK {
			p.Errors, p.Advice = append(p.Errors, api.ProblemField{Location: c.Name, Message: c.Problem}), c.Advice
		}
	}
	writeJSON(w, p.ContentType(""), p.Status, p)
}
