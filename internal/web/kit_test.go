package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/keystore/stored"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// kit is a whole API on a real store, with a token of every kind.
type kit struct {
	t      *testing.T
	db     *store.DB
	keys   *keystore.Keystore
	h      http.Handler
	url    string
	log    *logText
	tokens map[certfleet.Scope]string
}

// logText is a log that many may write at a time.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newKit(t *testing.T, change ...func(*Deps)) *kit {
	t.Helper()
	db := storetest.SQLite(t)
	sealing, err := keeper.Generate()
	must(t, err)
	k := &kit{t: t, db: db, keys: stored.New(sealing, db), log: &logText{}, tokens: map[certfleet.Scope]string{}}
	d := Deps{DB: db, Keys: k.keys, Log: slog.New(slog.NewTextHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Started: time.Now()}
	d.Acts.VersionOf, d.Acts.Adopt = issue.VersionOf, issue.Adopt
	for _, c := range change {
		c(&d)
	}
	k.h = New(d)
	srv := httptest.NewServer(k.h)
	t.Cleanup(srv.Close)
	k.url = srv.URL
	for _, scope := range certfleet.Scopes {
		k.tokens[scope] = k.token(string(scope), scope)
	}
	return k
}

// token stores a token with scopes and answers its secret.
func (k *kit) token(label string, scopes ...certfleet.Scope) string {
	k.t.Helper()
	secret, hash := NewToken()
	must(k.t, k.db.Tx(context.Background(), time.Now(), func(tx *store.Tx) error {
		return tx.AddToken(context.Background(), &certfleet.Token{Label: label, Hash: hash, Scopes: scopes})
	}))
	return secret
}

// fleet gives the API an authority, a policy and a target to work with.
func (k *kit) fleet() *kit {
	k.t.Helper()
	k.ok("POST", "/v1/authorities", `{"label":"test-ca","directory_url":"https://ca.test/dir"}`)
	k.ok("POST", "/v1/policies", `{"label":"default","authorities":["test-ca"]}`)
	k.ok("POST", "/v1/targets", `{"label":"edge","type":"files","spec":{"dir":"/srv/tls"}}`)
	return k
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
}

func (r reply) problem(t *testing.T) api.Problem {
	t.Helper()
	var p api.Problem
	if ct := r.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("status %d has type %q: %s", r.status, ct, r.body)
	}
	r.into(t, &p)
	return p
}

func (k *kit) do(token, method, path, body string, headers ...string) reply {
	k.t.Helper()
	req, err := http.NewRequest(method, k.url+path, strings.NewReader(body))
	must(k.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(k.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(k.t, err)
	return reply{res.StatusCode, res.Header, string(b)}
}

// ok does something as admin that must go well.
func (k *kit) ok(method, path, body string, headers ...string) reply {
	k.t.Helper()
	r := k.do(k.tokens[certfleet.ScopeAdmin], method, path, body, headers...)
	if r.status != 200 {
		k.t.Fatalf("%s %s: %d %s\n%s", method, path, r.status, r.body, k.log)
	}
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
