package pebble

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// maxVerdict bounds, in real time, how long a validation may take in process.
const maxVerdict = 10 * time.Second

// Bubble is a Pebble without sockets for tests in a synctest bubble. Every
// challenge is valid, nothing is looked at.
//
// Its validator has a goroutine that never ends, so it is made outside the
// bubble, by InProcess; the rest is made inside, by Open, so that the CA's
// certificates follow the bubble's clock. A challenge request waits in real
// time for the verdict: waiting for somebody outside is not durable blocking,
// so the bubble's clock stands still meanwhile.
type Bubble struct {
	DirectoryURL string

	core
	options   Options
	logger    *log.Logger
	validator *va.VAImpl
	mem       *db.MemoryStore

	turn    sync.Mutex // one question at a time
	ask     chan string
	verdict chan bool
	closed  sync.WaitGroup
}

// InProcess prepares a Pebble; call it outside the bubble, and Close too.
func InProcess(o Options) *Bubble {
	o = o.withDefaults()
	o.AlwaysValid = true
	b := &Bubble{DirectoryURL: "https://ca.test" + wfe.DirectoryPath, options: o, logger: log.New(o.Log, "pebble ", 0), mem: db.NewMemoryStore(), ask: make(chan string), verdict: make(chan bool)}
	b.validator = newVA(o, b.logger, "", b.mem)
	b.closed.Go(b.watch)
	return b
}

// Open makes the CA by the clock of the goroutine that calls it, and returns
// what carries requests to it.
func (b *Bubble) Open() (http.RoundTripper, error) {
	k, err := newCore(b.options, b.logger, b.mem, b.validator)
	if err != nil {
		return nil, err
	}
	b.core = k
	return b, nil
}

// watch waits outside the bubble for what the validator says.
func (b *Bubble) watch() {
	for id := range b.ask {
		end := time.Now().Add(maxVerdict)
		for b.open(id) && time.Now().Before(end) {
			time.Sleep(20 * time.Microsecond)
		}
		b.verdict <- !b.open(id)
	}
}

// open reports whether a challenge still waits for its verdict.
func (b *Bubble) open(id string) bool {
	ch := b.mem.GetChallengeByID(id)
	if ch == nil {
		return false
	}
	ch.RLock()
	authz, status := ch.Authz, ch.Status
	ch.RUnlock()
	authz.RLock()
	defer authz.RUnlock()
	return status == "processing" || (status == "valid" && authz.Status == "pending")
}

// RoundTrip calls the CA's handler.
func (b *Bubble) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.Host, in.TLS = r.URL.RequestURI(), r.URL.Host, &tls.ConnectionState{}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	rec := &recorder{header: http.Header{}}
	b.handler.ServeHTTP(rec, in)
	if id, ok := strings.CutPrefix(r.URL.Path, "/chalZ/"); ok && rec.status == http.StatusOK && !b.await(id) {
		return nil, fmt.Errorf("the test CA gave no verdict within %s", maxVerdict)
	}
	return rec.response(r), nil
}

func (b *Bubble) await(id string) bool {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.ask <- id
	return <-b.verdict
}

// Close ends what InProcess began. One idle goroutine of Pebble remains.
func (b *Bubble) Close() {
	close(b.ask)
	b.closed.Wait()
}

func (w *recorder) response(r *http.Request) *http.Response {
	w.WriteHeader(http.StatusOK)
	body := w.body.Bytes()
	if r.Method == http.MethodHead {
		body = nil
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}
