package issue_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/keystore/stored"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/solver/http01"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

func TestMain(m *testing.M) {
	os.Exit(trial.Run(m))
}

// house is a store, a CA and all that outlives a process; rooms come and go.
type house struct {
	*testing.T
	db     *store.DB
	keeper *keeper.Key
	ca     *pebble.CA
	wire   *wire
	dns    *zone
	policy *certfleet.Policy
	acct   *certfleet.Account
	auth   *certfleet.Authority
}

// wire stands before the CA: it counts, and breaks what it is told to.
type wire struct {
	mu     sync.Mutex
	placed []string // what each accepted new-order asked for, guarded by mu
	fault  func(w http.ResponseWriter, r *http.Request, body string) bool
}

// breakBy lets fault answer in place of the CA when it returns true.
func (w *wire) breakBy(fault func(http.ResponseWriter, *http.Request, string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

func (w *wire) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		body := payload(raw)
		w.mu.Lock()
		fault := w.fault
		w.mu.Unlock()
		if fault != nil && fault(rw, r, body) {
			return
		}
		seen := &status{ResponseWriter: rw}
		next.ServeHTTP(seen, r)
		if r.URL.Path == "/order-plz" && seen.code == http.StatusCreated {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.placed = append(w.placed, body)
		}
	})
}

// orders is how many orders the CA has taken, and what each asked for.
func (w *wire) orders() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.placed)
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) { s.code = code; s.ResponseWriter.WriteHeader(code) }

// payload is what a signed request says.
func payload(raw []byte) string {
	var jws struct{ Payload string }
	if json.Unmarshal(raw, &jws) != nil {
		return ""
	}
	b, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	return string(b)
}

// refuse answers as a CA does that says no.
func refuse(w http.ResponseWriter, code int, typ, detail, retryAfter string) bool {
	w.Header().Set("Content-Type", "application/problem+json")
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":%q,"status":%d}`, typ, detail, code)
	return true
}

// build boots a CA and a store with one account that is not yet registered.
func build(t *testing.T, db *store.DB, o pebble.Options) *house {
	t.Helper()
	h := &house{T: t, db: db, wire: &wire{}}
	if o.HTTPPort == 0 {
		o.HTTPPort = h.serveHTTP01()
	}
	o.Wrap = h.wire.around
	var err error
	if h.ca, err = pebble.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.ca.Close() })
	if h.keeper, err = keeper.Generate(); err != nil {
		t.Fatal(err)
	}
	h.dns = &zone{ca: h.ca, visible: map[string]bool{}}
	h.auth = &certfleet.Authority{Label: "pebble", DirectoryURL: h.ca.DirectoryURL, TrustPEM: string(h.ca.TrustPEM)}
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddAuthority(ctx, h.auth) })
	h.acct = &certfleet.Account{AuthorityID: h.auth.ID, Label: "main", AgreedAt: time.Now(), Contact: []string{"mailto:tls@certfleet.test"}}
	h.policy = &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}}}
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.AddAccount(ctx, h.acct), tx.AddPolicy(ctx, h.policy))
	})
	return h
}

func (h *house) tx(fn func(context.Context, *store.Tx) error) {
	h.Helper()
	ctx := context.WithoutCancel(h.Context())
	if err := h.db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return fn(ctx, tx) }); err != nil {
		h.Fatal(err)
	}
}

// serveHTTP01 answers from the store, as every node does.
func (h *house) serveHTTP01() int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.Fatal(err)
	}
	srv := http01.NewServer(&http01.Handler{Lookup: func(ctx context.Context, token string) (string, bool, error) {
		c, err := h.db.ChallengeByToken(ctx, token)
		if certfleet.KindOf(err) == certfleet.NotFound {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		return c.KeyAuth, true, nil
	}})
	go srv.Serve(ln)
	h.Cleanup(func() { srv.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// room is a process that knows nothing but what is stored: client, keystore and
// memory are new.
func (h *house) room(after func(place string)) *issue.Room {
	return &issue.Room{DB: h.db, Keys: stored.New(h.keeper, h.db), Client: h.client, Solver: h.solver, After: after}
}

func (h *house) client(a *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.TrustPEM))
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, IdleConnTimeout: time.Second}
	h.Cleanup(tr.CloseIdleConnections)
	return acme.New(acme.Options{DirectoryURL: a.DirectoryURL, HTTP: &http.Client{Transport: tr}, Timeout: trial.Patience, Record: record}), nil
}

func (h *house) solver(typ certfleet.ChallengeType, _ string) (certfleet.Solver, error) {
	if typ == certfleet.DNS01 {
		return h.dns, nil
	}
	return &http01.Solver{}, nil
}

// zone is a DNS provider: it remembers records by an id of its own, which only
// the state tells, and takes a look until a record is seen.
type zone struct {
	ca *pebble.CA

	mu      sync.Mutex
	visible map[string]bool // by name, guarded by mu
	crash   func()          // runs after a record was made, guarded by mu
}

func (z *zone) Present(_ context.Context, c certfleet.Challenge) ([]byte, error) {
	z.mu.Lock()
	if !z.visible[c.DNSName()] {
		z.ca.AddTXT(c.DNSName(), c.DNSValue())
	}
	z.visible[c.DNSName()] = true
	crash := z.crash
	z.mu.Unlock()
	if crash != nil {
		crash()
	}
	return []byte("record of " + c.DNSName()), nil
}

func (z *zone) Ready(_ context.Context, c certfleet.Challenge, state []byte) (bool, string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.visible[c.DNSName()], "no record yet", nil
}

func (z *zone) CleanUp(_ context.Context, c certfleet.Challenge, _ []byte) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.ca.ClearTXT(c.DNSName())
	delete(z.visible, c.DNSName())
	return nil
}

func (z *zone) crashBy(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.crash = f
}

// want adds a certificate that is due now, under the default policy.
func (h *house) want(label string, names ...string) *certfleet.Certificate {
	h.Helper()
	return h.wantBy(h.policy, label, names...)
}

func (h *house) wantBy(p *certfleet.Policy, label string, names ...string) *certfleet.Certificate {
	h.Helper()
	if len(names) == 0 {
		names = []string{label}
	}
	parsed, err := certfleet.ParseNames(names)
	if err != nil {
		h.Fatal(err)
	}
	c := &certfleet.Certificate{Tenant: 1, Label: label, Names: parsed, PolicyID: p.ID, DueAt: time.Now().Add(-time.Millisecond), Lane: certfleet.LaneNew}
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddCertificate(ctx, c, "operator") })
	return c
}

// policyLike adds a policy that differs from the default one.
func (h *house) policyLike(label string, change func(*certfleet.PolicySpec)) *certfleet.Policy {
	h.Helper()
	p := &certfleet.Policy{Label: label, Spec: h.policy.Spec}
	change(&p.Spec)
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.AddPolicy(ctx, p) })
	return p
}

// open opens the certificate's next order and returns it.
func (h *house) open(r *issue.Room, c *certfleet.Certificate) *certfleet.Order {
	h.Helper()
	if err := r.Open(h.Context(), c.ID, time.Now()); err != nil {
		h.Fatal(err)
	}
	o, err := h.db.LiveOrder(h.Context(), c.ID, certfleet.SlotECDSA)
	if err != nil {
		h.Fatal(err)
	}
	return o
}

// walk does with an order what a node does when it is due.
func (h *house) walk(r *issue.Room, owner string, id int64) error {
	return work.Orders(h.db, owner, r.Step).Do(h.Context(), id)
}

// owner names a process of this host that has died.
func owner(n int) string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s/%d/1/%s", host, 1<<30+n, path.Base(work.OwnerName()))
}

// finish walks an order to its end, or fails the test.
func (h *house) finish(r *issue.Room, id int64) *certfleet.Order {
	h.Helper()
	for end := time.Now().Add(trial.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		o := h.order(id)
		if !o.Live() {
			return o
		}
		if o.DueAt.After(time.Now()) {
			continue
		}
		if err := h.walk(r, work.OwnerName(), id); err != nil && !errors.Is(err, store.ErrStale) {
			h.Logf("step: %v", err)
		}
	}
	h.Fatalf("order %d is still %+v", id, h.order(id))
	return nil
}

func (h *house) order(id int64) *certfleet.Order {
	h.Helper()
	o, err := h.db.Order(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return o
}

func (h *house) certificate(id int64) *certfleet.Certificate {
	h.Helper()
	c, err := h.db.Certificate(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return c
}

// issue takes a certificate from wanted to issued.
func (h *house) issue(r *issue.Room, c *certfleet.Certificate) *certfleet.Order {
	h.Helper()
	o := h.finish(r, h.open(r, c).ID)
	if o.State != certfleet.OrderIssued {
		h.Fatalf("order of %s is %s: %s", c.Label, o.State, o.Problem)
	}
	return o
}

// again makes a certificate due now.
func (h *house) again(id int64) *certfleet.Certificate {
	h.Helper()
	c := h.certificate(id)
	c.DueAt = time.Now().Add(-time.Millisecond)
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, c) })
	return c
}

// version reads a version and its leaf.
func (h *house) version(id int64) (*certfleet.Version, *x509.Certificate) {
	h.Helper()
	v, err := h.db.Version(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	certs, err := pki.ParseCertificates(v.ChainPEM)
	if err != nil {
		h.Fatal(err)
	}
	return v, certs[0]
}

// events are the kinds of what happened to a certificate, oldest first.
func (h *house) events(certificate int64) string {
	h.Helper()
	list, _, err := h.db.Events(h.Context(), store.EventFilter{CertificateID: certificate, Limit: 200})
	if err != nil {
		h.Fatal(err)
	}
	var kinds []string
	for _, e := range slices.Backward(list) {
		kinds = append(kinds, e.Kind)
	}
	return strings.Join(kinds, " ")
}
