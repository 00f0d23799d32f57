package acme_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
)

const newOrder = "/order-plz"

// faulty is a CA whose new-order resource can be broken; hits counts the requests there.
type faulty struct {
	*kit
	acct acme.Account
	hits atomic.Int32
	how  atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
}

func startFaulty(t *testing.T) *faulty {
	f := &faulty{}
	f.kit = start(t, pebble.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			how := f.how.Load()
			if !path(r, newOrder) || how == nil {
				next.ServeHTTP(w, r)
				return
			}
			f.hits.Add(1)
			(*how)(w, r, next)
		})
	}}, nil)
	f.acct = f.register(newKey(t))
	return f
}

// order places an order while how answers, and returns what came of it.
func (f *faulty) order(how func(w http.ResponseWriter, r *http.Request, next http.Handler)) (acme.Order, error) {
	f.how.Store(&how)
	f.hits.Store(0)
	return f.client.NewOrder(f.Context(), f.acct, acme.OrderRequest{Names: names(f, "fault.example")})
}

// says answers with a status, headers and a body, without asking Pebble.
func says(status int, body string, headers ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestRefusalsAreToldOnce(t *testing.T) {
	f := startFaulty(t)
	limited := `{"type":"urn:ietf:params:acme:error:rateLimited","status":429,"detail":"too many certificates (50) already issued for \"fault.example\" in the last 168h0m0s, retry after 2026-11-23 00:00:00 UTC: see https://ca.example/docs/rate-limits/#new-orders.",
		"subproblems":[{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"no","identifier":{"type":"dns","value":"fault.example"}}]}`
	inAnHour := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, row := range []struct {
		name  string
		how   func(http.ResponseWriter, *http.Request, http.Handler)
		kind  certfleet.Kind
		ptype string
		wait  time.Duration
		says  []string
	}{
		{"limit in seconds", says(429, limited, "Retry-After", "3600", "Link", `<https://ca.example/docs>;rel="help"`), certfleet.Limited, "rateLimited", time.Hour, []string{"rateLimited: too many", "fault.example: rejectedIdentifier"}},
		{"limit until a date", says(429, limited, "Retry-After", inAnHour), certfleet.Limited, "rateLimited", time.Hour, nil},
		{"maintenance", says(503, `{"type":"urn:ietf:params:acme:error:serverInternal","detail":"back soon"}`, "Retry-After", "120"), certfleet.Unreachable, "serverInternal", 2 * time.Minute, []string{"back soon"}},
		{"a proxy's page", says(502, "<html><head><title>x</title></head><body><h1>Bad Gateway</h1></body></html>", "Content-Type", "text/html"), certfleet.Unreachable, "", 0, []string{"502", "text/html", "Bad Gateway"}},
		{"nothing at all", says(404, ""), certfleet.NotFound, "", 0, []string{"404 Not Found"}},
		{"half a problem", says(403, `{"type":"urn:ietf`), certfleet.Denied, "", 0, []string{"403"}},
		{"a redirect", says(307, "", "Location", "/elsewhere"), certfleet.Unreachable, "", 0, []string{"307", "/elsewhere"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := f.order(row.how)
			p, ok := errors.AsType[*acme.Problem](err)
			if !ok || p.Kind() != row.kind || p.Name() != row.ptype || !containsAll(err.Error(), row.says...) {
				t.Fatalf("got %v (%+v)", err, p)
			}
			if got := time.Until(p.RetryAfter); row.wait > 0 && (got > row.wait || got < row.wait-5*time.Second) {
				t.Errorf("retry after %s, want %s", got, row.wait)
			}
			if row.wait == 0 && !p.RetryAfter.IsZero() {
				t.Errorf("retry after %s, want none", p.RetryAfter)
			}
			if n := f.hits.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
			if x := f.seen("order"); x[len(x)-1].Problem == "" || x[len(x)-1].Status != p.Status {
				t.Errorf("recorded as %+v", x[len(x)-1])
			}
		})
	}
}

func TestProblemPointsToItsExplanation(t *testing.T) {
	f := startFaulty(t)
	_, err := f.order(says(429, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"Your account is temporarily prevented from requesting certificates. Please visit: https://portal.ca.example/unpause?jwt=abc."}`, "Link", `<https://ca.example/limits>;rel="help", </directory>;rel="index"`))
	p, ok := errors.AsType[*acme.Problem](err)
	if !ok || p.Help != "https://ca.example/limits" || p.See != "https://portal.ca.example/unpause?jwt=abc" {
		t.Errorf("%+v", p)
	}
}

// TestNewOrderIsNeverRepeated breaks the answer after the CA placed the order.
func TestNewOrderIsNeverRepeated(t *testing.T) {
	drop := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	dropBefore := func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
	spoil := func(change func(body []byte) []byte) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			w.Write(change(rec.Body.Bytes()))
		}
	}
	half := spoil(func(b []byte) []byte { return b[:len(b)/2] })
	huge := spoil(func(b []byte) []byte { return append(b, strings.Repeat(" ", 2<<20)...) })
	for _, row := range []struct {
		name   string
		how    func(http.ResponseWriter, *http.Request, http.Handler)
		hasURL bool
	}{
		{"dropped after", drop, false},
		{"dropped before", dropBefore, false},
		{"half its JSON", half, true},
		{"far too long", huge, true},
		{"somebody else's page", says(200, "<html>please log in</html>", "Content-Type", "text/html"), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := startFaulty(t)
			o, err := f.order(row.how)
			if !errors.Is(err, acme.ErrLost) || certfleet.KindOf(err) != certfleet.Unreachable || certfleet.AdviceOf(err) == "" {
				t.Fatalf("got %v", err)
			}
			if n := f.hits.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
			if (o.URL != "") != row.hasURL {
				t.Errorf("order URL %q", o.URL)
			}
			f.how.Store(nil)
			if o.URL != "" {
				if _, err := f.client.GetOrder(t.Context(), f.acct, o.URL); err != nil {
					t.Errorf("the order whose body was spoiled: %v", err)
				}
			}
		})
	}
}

// TestDeadIdleConnectionDoesNotRepeatAPost lets the server close a kept
// connection when the next request has arrived on it, the one case in which Go's
// transport would send a request again by itself.
func TestDeadIdleConnectionDoesNotRepeatAPost(t *testing.T) {
	f := startFaulty(t)
	if _, err := f.client.AccountInfo(t.Context(), f.acct); err != nil { // a connection is kept now
		t.Fatal(err)
	}
	_, err := f.order(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})
	if !errors.Is(err, acme.ErrLost) || f.hits.Load() != 1 {
		t.Errorf("%d requests, %v; want 1 and a lost answer", f.hits.Load(), err)
	}
	f.how.Store(nil)
	if _, err := f.client.NewOrder(t.Context(), f.acct, acme.OrderRequest{Names: names(t, "next.example")}); err != nil {
		t.Errorf("the next order: %v", err)
	}
}

func TestUnreachableCAIsNotALostAnswer(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	c := acme.New(acme.Options{DirectoryURL: url})
	_, err := c.Directory(t.Context())
	if certfleet.KindOf(err) != certfleet.Unreachable || errors.Is(err, acme.ErrLost) || certfleet.AdviceOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestSilentCAIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	c := acme.New(acme.Options{DirectoryURL: srv.URL, Timeout: 50 * time.Millisecond})
	if _, err := c.Directory(t.Context()); !errors.Is(err, context.DeadlineExceeded) || certfleet.KindOf(err) != certfleet.Unreachable {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoDirectoryIsNamedSo(t *testing.T) {
	for body, want := range map[string]certfleet.Kind{`{}`: certfleet.Invalid, `[]`: certfleet.Unreachable, `<html>`: certfleet.Unreachable} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }))
		_, err := acme.New(acme.Options{DirectoryURL: srv.URL}).Directory(t.Context())
		if certfleet.KindOf(err) != want || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v", body, err)
		}
		srv.Close()
	}
	for _, url := range []string{"", "ca.example/directory", "ftp://ca.example/"} {
		if _, err := acme.New(acme.Options{DirectoryURL: url}).Directory(t.Context()); certfleet.KindOf(err) != certfleet.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestURLsThatLeaveHTTPSAreRefused(t *testing.T) {
	k := start(t, pebble.Options{}, nil)
	acct := k.register(newKey(t))
	before := len(k.seen(""))
	_, err := k.client.GetOrder(t.Context(), acct, strings.Replace(acct.URL, "https:", "http:", 1))
	if certfleet.KindOf(err) != certfleet.Invalid || len(k.seen("")) != before {
		t.Errorf("got %v after %d requests", err, len(k.seen(""))-before)
	}
}

func TestBrokenAlternateIsLeftOut(t *testing.T) {
	for name, body := range map[string]string{"page": "<html>", "nothing": "", "key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		t.Run(name, func(t *testing.T) {
			k := start(t, pebble.Options{AlternateRoots: 2, Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/alternate/1") {
						says(200, body)(w, r, next)
						return
					}
					next.ServeHTTP(w, r)
				})
			}}, nil)
			_, chains := k.issue(k.register(newKey(t)), acme.OrderRequest{Names: names(t, "alt.example")}, certfleet.HTTP01)
			if len(chains) != 2 {
				t.Errorf("%d chains, want 2", len(chains))
			}
		})
	}
}
