package app

import (
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/certfleet/certfleet/internal/web"
)

// Offline makes requests of actor to this node's API without a network and
// without a token: who may open the database needs none.
func (a *App) Offline(actor string) http.RoundTripper {
	return inProcess{web.Trusted(a.Handler(), actor)}
}

type inProcess struct{ handler http.Handler }

// RoundTrip serves one request. The answer can be read while it is written, so
// that a stream works too; it ends with the request's context.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	a := &answering{header: http.Header{}, body: w, begun: make(chan struct{})}
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.RequestURI = r.URL.RequestURI()
	go func() {
		defer func() {
			if p := recover(); p != nil {
				a.WriteHeader(http.StatusInternalServerError)
				w.CloseWithError(fmt.Errorf("answer %s: %v", r.URL.Path, p))
			}
			a.WriteHeader(http.StatusOK) // nothing was written at all
			w.Close()
			r.Body.Close()
		}()
		t.handler.ServeHTTP(a, r)
	}()
	select {
	case <-a.begun:
	case <-r.Context().Done():
		body.CloseWithError(r.Context().Err()) // the handler's next write fails
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: a.status, Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), Header: a.sent, Body: body,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1, Request: r,
	}, nil
}

// answering is an answer on its way to a reader in the same process.
type answering struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	begun  chan struct{} // closed when status and sent are set
	status int
	sent   http.Header
}

// Header is what will be sent.
func (a *answering) Header() http.Header { return a.header }

// WriteHeader begins the answer; only the first call counts.
func (a *answering) WriteHeader(status int) {
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	})
}

// Write hands bytes to the reader.
func (a *answering) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// Flush begins the answer; every write is handed over at once anyway.
func (a *answering) Flush() { a.WriteHeader(http.StatusOK) }
