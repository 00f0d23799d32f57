package web

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type requestKey struct{}

// request is what is known of a request on its way through.
type request struct {
	id   string
	url  *url.URL
	said string // who asked, once known
}

func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{url: &url.URL{}}
}

func requestID(ctx context.Context) string { return requestOf(ctx).id }

// outer names every request, writes the access log and sets the headers that
// every answer has.
func (s *server) outer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		req := &request{id: rand.Text()[:12], url: r.URL}
		h := w.Header()
		h.Set("X-Request-Id", req.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		seen := &watched{ResponseWriter: w}
		next.ServeHTTP(seen, r.WithContext(context.WithValue(r.Context(), requestKey{}, req)))
		// The query is left out: somebody may have put a secret there.
		s.Log.Debug("request", "request_id", req.id, "method", r.Method, "path", r.URL.Path, "status", seen.status, "bytes", seen.bytes, "actor", req.said, "took", time.Since(began))
	})
}

// watched notes what was answered.
type watched struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader notes the status.
func (w *watched) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (w *watched) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets a response controller reach the connection.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// bound ends every operation in time, but for streams.
func (s *server) bound(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().Metadata["stream"] == true {
		next(ctx)
		return
	}
	c, cancel := context.WithTimeout(ctx.Context(), requestTime)
	defer cancel()
	next(huma.WithContext(ctx, c))
}
