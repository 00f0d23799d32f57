package pebble

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/letsencrypt/pebble/v2/db"
)

// maxIssuing bounds the wait for a certificate that Pebble signs in the background.
const maxIssuing = 2 * time.Second

// calm serves Pebble's handler one request at a time, and answers a finalize
// once its certificate is signed and entered. Pebble 2.10.1 read-locks an order
// twice in one request; when the signer wants to write in between, everything
// stands still for ever. 64 clients at a time got there in under ten seconds
// without calm, and never with it.
//
// The turn is a channel and not a mutex: who waits for a channel lets the clock
// of a synctest bubble go on.
func calm(next http.Handler, mem *db.MemoryStore) http.Handler {
	turn := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // before the turn: a slow sender holds up nobody
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := &recorder{header: http.Header{}}
		turn <- struct{}{}
		next.ServeHTTP(rec, r)
		if id, ok := strings.CutPrefix(r.URL.Path, "/finalize-order/"); ok && rec.status == http.StatusOK {
			awaitIssue(mem, id)
		}
		<-turn
		rec.copyTo(w)
	})
}

func awaitIssue(mem *db.MemoryStore, id string) {
	for end := time.Now().Add(maxIssuing); time.Now().Before(end) && !entered(mem, id); {
		time.Sleep(200 * time.Microsecond)
	}
}

// entered reports whether all that follows a finalize is done: the certificate,
// its place in the list that replaces looks at, and the mark on what it replaces.
func entered(mem *db.MemoryStore, id string) bool {
	o := mem.GetOrderByID(id)
	if o == nil {
		return true
	}
	o.RLock()
	defer o.RUnlock()
	if o.CertificateObject == nil {
		return o.Status != "processing"
	}
	if _, err := mem.GetOrderByIssuedSerial(o.CertificateObject.ID); err != nil {
		return false
	}
	return o.Replaces == "" || replaced(mem, o.Replaces)
}

func replaced(mem *db.MemoryStore, ariID string) bool {
	_, serial, _ := strings.Cut(ariID, ".")
	b, err := base64.RawURLEncoding.DecodeString(serial)
	if err != nil {
		return true
	}
	old, err := mem.GetOrderByIssuedSerial(hex.EncodeToString(b))
	if err != nil {
		return true
	}
	old.RLock()
	defer old.RUnlock()
	return old.IsReplaced
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is what will be sent.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader keeps the first status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write adds to the body.
func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *recorder) copyTo(to http.ResponseWriter) {
	for k, v := range w.header {
		to.Header()[k] = v
	}
	w.WriteHeader(http.StatusOK)
	to.WriteHeader(w.status)
	to.Write(w.body.Bytes())
}
