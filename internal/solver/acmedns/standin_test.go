package acmedns_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/solver/acmedns"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/certfleet/certfleet/internal/trial"
)

// standIn is an acme-dns server: its API over HTTP, its names in the test DNS
// under acme.test, two values for each, the older one overwritten.
type standIn struct {
	t   *testing.T
	url string
	dns *solvertest.DNS

	mu       sync.Mutex
	accounts map[string]*account // by user, guarded by mu
	calls    []string            // guarded by mu
	fail     int                 // status to answer with, guarded by mu
}

type account struct {
	password, sub string
	allow         []string
	values        [2]string
	next          int
}

func newStandIn(t *testing.T) *standIn {
	d := solvertest.Serve(t, append(solvertest.Zone("example.org.", 2), solvertest.Zone("acme.test.", 1)...)...)
	s := &standIn{t: t, dns: d, accounts: map[string]*account{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	switch {
	case s.fail == http.StatusFound:
		http.Redirect(w, r, "http://127.0.0.1:1/stolen", http.StatusTemporaryRedirect)
	case s.fail != 0:
		say(w, s.fail, map[string]string{"error": "told_to_fail"})
	case r.Method != "POST" || r.Header.Get("Content-Type") != "application/json":
		say(w, 405, map[string]string{"error": "bad_request"})
	case r.URL.Path == "/register":
		s.register(w, r)
	case r.URL.Path == "/update":
		s.update(w, r)
	default:
		http.NotFound(w, r)
	}
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func (s *standIn) register(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AllowFrom []string `json:"allowfrom"`
	}
	if b, _ := io.ReadAll(r.Body); len(b) > 0 && json.Unmarshal(b, &in) != nil {
		say(w, 400, map[string]string{"error": "malformed_json_payload"})
		return
	}
	n := len(s.accounts) + 1
	user, sub := fmt.Sprintf("user-%d", n), fmt.Sprintf("sub-%d", n)
	s.accounts[user] = &account{password: fmt.Sprintf("password-%d", n), sub: sub, allow: in.AllowFrom}
	s.dns.Add(s.t, sub+".acme.test. 0 IN A 127.0.0.1")
	say(w, 201, map[string]any{"username": user, "password": s.accounts[user].password, "subdomain": sub, "fulldomain": sub + ".acme.test", "allowfrom": in.AllowFrom})
}

func (s *standIn) update(w http.ResponseWriter, r *http.Request) {
	var in struct{ Subdomain, Txt string }
	a := s.accounts[r.Header.Get("X-Api-User")]
	switch {
	case json.NewDecoder(r.Body).Decode(&in) != nil:
		say(w, 400, map[string]string{"error": "malformed_json_payload"})
	case a == nil || a.password != r.Header.Get("X-Api-Key") || a.sub != in.Subdomain:
		say(w, 401, map[string]string{"error": "forbidden"})
	case len(in.Txt) != 43:
		say(w, 400, map[string]string{"error": "bad_txt"})
	default:
		a.values[a.next] = in.Txt
		a.next = 1 - a.next
		s.dns.SetTXT(s.t, a.sub+".acme.test.", a.shown()...)
		say(w, 200, map[string]string{"txt": in.Txt})
	}
}

// shown are the values that were written at all.
func (a *account) shown() []string {
	var out []string
	for _, v := range a.values {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

func (s *standIn) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func (s *standIn) failWith(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = status
}

// memory keeps credentials encoded, as a store that seals them does.
type memory struct {
	mu   sync.Mutex
	kept map[certfleet.Name]certfleet.Secret // guarded by mu
}

func (m *memory) Get(_ context.Context, name certfleet.Name) (acmedns.Credential, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.kept[name]
	if !ok {
		return acmedns.Credential{}, false, nil
	}
	c, err := acmedns.Decode(b)
	return c, err == nil, err
}

func (m *memory) Put(_ context.Context, name certfleet.Name, c acmedns.Credential) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := c.Encode()
	m.kept[name] = b
	return err
}

func solver(t *testing.T, s *standIn, m *memory) *acmedns.Solver {
	t.Helper()
	out, err := acmedns.New(acmedns.Config{
		Server: s.url + "/", Timeout: certfleet.Duration(5 * time.Second),
		DNS: dnsq.Config{Resolvers: []string{s.dns.Addr()}, AuthorityPort: s.dns.Port, Timeout: certfleet.Duration(trial.Patience)},
	}, dial.Deps{}, m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newMemory() *memory { return &memory{kept: map[certfleet.Name]certfleet.Secret{}} }
