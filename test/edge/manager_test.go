package edge

import (
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

// certSigner is a private key.
type certSigner = crypto.Signer

// manager stands in for the lookup API.
type manager struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	answers  map[string]any // by name; absent is 404
	status   int            // zero answers as it should
	delay    time.Duration
}

func newManager(t testing.TB) *manager {
	m := &manager{answers: map[string]any{}}
	m.Server = httptest.NewServer(m)
	m.URL = m.Server.URL + "/.well-known/peter_sslers"
	t.Cleanup(m.Close)
	return m
}

func (m *manager) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	m.mu.Lock()
	m.requests = append(m.requests, strings.TrimSpace(q.Method+" "+q.RequestURI+" "+string(body)))
	status, delay := m.status, m.delay
	name, _, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/.well-known/peter_sslers/domain/"), "/")
	if q.Method == http.MethodPost {
		name = "order:" + strings.TrimPrefix(string(body), "domain_name=")
	}
	answer, known := m.answers[name]
	m.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-q.Context().Done(): // nobody waits any more
	}
	switch {
	case status != 0:
		w.WriteHeader(status)
	case !known:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message": "the domain is not known"}`)
	default:
		json.NewEncoder(w).Encode(answer)
	}
}

func (m *manager) asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.requests...)
}

func (m *manager) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func payload(key string, b certfleet.Bundle) any {
	return map[string]any{"Domain": map[string]string{"id": "1"}, key: map[string]any{
		"id": "1", "fullchain": map[string]string{"id": "1,2", "pem": string(b.ChainPEM)}, "private_key": map[string]string{"id": "1", "pem": string(b.KeyPEM)},
	}}
}

func TestManagerAnswersForWhatRedisHasNot(t *testing.T) {
	m := newManager(t)
	r := start(t, settings{Options: fmt.Sprintf("manager = %q", m.URL)})
	for i, key := range []string{"x509_certificate__latest_single", "certificate_signed__latest_multi", "server_certificate__latest_single"} {
		name := fmt.Sprintf("shop%d.example.com", i)
		b := r.bundle(1, name)
		m.set(func() { m.answers[name] = payload(key, b) })
		r.expect(name, b.Fingerprint)
		r.expect(name, b.Fingerprint)
	}
	r.expectDefault("nobody.example.com", "nobody.example.com")
	if got := m.asked(); len(got) != 4 || got[0] != "GET /.well-known/peter_sslers/domain/shop0.example.com/config.json?openresty=1" {
		t.Errorf("the manager was asked %q", got)
	}
	r.expectCounts(map[string]int{"hit_manager": 3, "hit_lru": 3, "miss": 2})
}

func TestManagerThatFailsIsAskedAgainSoon(t *testing.T) {
	m := newManager(t)
	r := start(t, settings{Options: fmt.Sprintf("manager = %q, error_ttl = 3", m.URL)})
	b := r.bundle(1, "shop.example.com")
	m.set(func() { m.answers["shop.example.com"], m.status = payload("x509_certificate__latest_single", b), 500 })
	r.expectDefault("shop.example.com", "shop.example.com", "shop.example.com")
	if n := len(m.asked()); n != 1 {
		t.Errorf("a failing manager was asked %d times at once", n)
	}
	m.set(func() { m.status = 0 })
	r.eventually("the manager's pair", func() bool { return r.served("shop.example.com") == b.Fingerprint })
}

func TestManagerStandsInForRedisThatIsDown(t *testing.T) {
	m := newManager(t)
	r := start(t, settings{Options: fmt.Sprintf("manager = %q", m.URL)})
	b := r.bundle(1, "shop.example.com")
	m.set(func() { m.answers["shop.example.com"] = payload("x509_certificate__latest_single", b) })
	r.server.Stop()
	r.expect("shop.example.com", b.Fingerprint)
}

func TestOneLookupForACrowd(t *testing.T) {
	m := newManager(t)
	r := start(t, settings{Workers: 2, Listen: "reuseport", Options: fmt.Sprintf("redis = false, manager = %q", m.URL)})
	b := r.bundle(1, "shop.example.com")
	m.set(func() {
		m.answers["shop.example.com"], m.delay = payload("x509_certificate__latest_single", b), 200*time.Millisecond
	})
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() { r.expect("shop.example.com", b.Fingerprint) })
	}
	group.Wait()
	if n := len(m.asked()); n != 1 {
		t.Errorf("the manager was asked %d times for one name", n)
	}
}

func TestCrowdIsNotHeldUpForEver(t *testing.T) {
	trial.InFull(t)
	m := newManager(t)
	r := start(t, settings{Options: fmt.Sprintf("redis = false, manager = %q, manager_timeout = 300, wait = 0.2", m.URL)})
	m.set(func() { m.delay = trial.Patience })
	began := time.Now()
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() { r.expectDefault("shop.example.com") })
	}
	group.Wait()
	if took := time.Since(began); took > trial.Patience/2 {
		t.Errorf("they waited %v for a manager that hangs", took)
	}
}

func TestOnDemandOrdersAllowedNamesOnce(t *testing.T) {
	m := newManager(t)
	r := start(t, settings{Options: fmt.Sprintf(`manager = %q, on_demand = true, on_demand_wait = 30, allow = function(name) return name:find("%%.allowed%%.com$") ~= nil end`, m.URL)})
	b := r.bundle(1, "new.allowed.com")
	m.set(func() { m.answers["order:new.allowed.com"] = payload("x509_certificate__latest_single", b) })
	r.expect("new.allowed.com", b.Fingerprint)
	r.expect("new.allowed.com", b.Fingerprint)
	r.expectDefault("new.denied.com", "bad.allowed.com", "bad.allowed.com")
	var orders []string
	for _, q := range m.asked() {
		if strings.HasPrefix(q, "POST") {
			orders = append(orders, q)
		}
	}
	const route = "POST /.well-known/peter_sslers/api/domain/autocert.json?openresty=1 domain_name="
	if len(orders) != 2 || orders[0] != route+"new.allowed.com" || orders[1] != route+"bad.allowed.com" {
		t.Errorf("ordered %q, want the two allowed names once", orders)
	}
}
