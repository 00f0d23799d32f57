package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

// house is a manager that runs, with two hosts behind NAT.
type house struct {
	*testing.T
	app *app.App
	c   *client.Client
	url string
	ca  *pki.CA
}

func newHouse(t *testing.T, change ...func(*config.Config)) *house {
	t.Helper()
	conf := manager(t)
	conf.Listen.API = "127.0.0.1:0"
	for _, c := range change {
		c(conf)
	}
	a := open(t, conf)
	f := &fleet{App: a}
	f.run(t)
	ca, err := pki.NewCA("somewhere else", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &house{T: t, app: a, url: "https://" + a.Addr("api"), ca: ca, c: client.New("http://offline", client.Options{HTTP: &http.Client{Transport: a.Offline("user:test")}})}
}

// put imports a new version for a target.
func (h *house) put(label, target string) *client.Imported {
	h.Helper()
	i := issue(h.ca, label)
	got, err := h.c.ImportCertificate(h.Context(), client.Import{Label: label, ChainPEM: string(i.ChainPEM), KeyPEM: string(i.KeyPEM), Targets: []string{target}})
	if err != nil {
		h.Fatalf("%v (%s)", err, certfleet.AdviceOf(err))
	}
	return got
}

// invite answers a join token for the running manager.
func (h *house) invite(label string) string {
	h.Helper()
	got, err := h.c.InviteAgent(h.Context(), client.NewAgent{Label: label, Manager: h.url})
	if err != nil {
		h.Fatal(err)
	}
	return got.Token
}

func issue(ca *pki.CA, name string) pki.Issued {
	i, err := ca.IssueServer([]string{name}, time.Hour+time.Duration(time.Now().UnixNano()%1e6)*time.Microsecond, time.Now())
	if err != nil {
		panic(err)
	}
	return i
}

// beside is an agent on a host, joined or not.
type beside struct {
	conf agent.Config
	log  *lockedText
}

// lockedText is a log that many may write at a time.
type lockedText struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newBeside(t *testing.T, updaters string) *beside {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("staging: %s/staging\ndir: %s/certs\nidentity: %s/id/identity.json\nsftp: {listen: \"127.0.0.1:0\", host_keys: [%s/host]}\n%s", dir, dir, dir, dir, updaters)
	conf, err := agent.Parse([]byte(text), "test")
	if err != nil {
		t.Fatal(err)
	}
	return &beside{conf: conf, log: &lockedText{}}
}

func (b *beside) run(t *testing.T) (stop func()) {
	t.Helper()
	a, err := agent.New(b.conf, slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, nil) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		a.Close()
	})
	t.Cleanup(stop)
	return stop
}

// ask sends a request under the agent's identity.
func (b *beside) ask(t *testing.T, url, method, path, body string) (int, string) {
	t.Helper()
	var id struct{ Certificate, Key string }
	text, err := os.ReadFile(b.conf.Identity)
	if err == nil {
		err = json.Unmarshal(text, &id)
	}
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(id.Certificate), []byte(id.Key))
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{api.AgentProtocol, "http/1.1"}, Certificates: []tls.Certificate{pair}}
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialTLSContext: func(ctx context.Context, n, at string) (net.Conn, error) {
		return (&tls.Dialer{Config: conf}).DialContext(ctx, n, at)
	}}}
	req, err := http.NewRequest(method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out bytes.Buffer
	out.ReadFrom(res.Body)
	return res.StatusCode, out.String()
}

func (h *house) delivery(label string) client.Delivery {
	h.Helper()
	for d, err := range h.c.Deliveries(h.Context(), client.DeliveryQuery{Certificate: label}) {
		if err != nil {
			h.Fatal(err)
		}
		return d
	}
	return client.Delivery{}
}

func (h *house) until(label, state string) {
	h.Helper()
	until(h, label+" "+state, func() (bool, string) {
		d := h.delivery(label)
		return d.State == state, d.State + " " + d.Problem
	})
}

func TestAgentsJoinFetchReportAndAreRevoked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, l := range []string{"edge-1", "edge-2"} {
		if _, err := h.c.AddTarget(t.Context(), client.Target{Label: l, Type: "pull"}); err != nil {
			t.Fatal(err)
		}
	}
	one, two := h.put("one.example", "edge-1"), h.put("two.example", "edge-2")
	calls := filepath.Join(t.TempDir(), "broken")
	first := newBeside(t, "updaters:\n  web: {type: script, command: [sh, -c, 'test ! -e "+calls+" || { echo the service is broken; exit 1; }'], retries: -1}\n")
	second := newBeside(t, "")
	tokens := map[string]string{"edge-1": h.invite("edge-1"), "edge-2": h.invite("edge-2")}
	for label, b := range map[string]*beside{"edge-1": first, "edge-2": second} {
		if name, err := agent.Join(t.Context(), b.conf, tokens[label]); err != nil || name != label {
			t.Fatalf("join: %q, %v", name, err)
		}
	}
	stopFirst := first.run(t)
	second.run(t)
	h.until("one.example", "applied")
	h.until("two.example", "applied")
	if _, err := os.Stat(filepath.Join(first.conf.Dir, "live", "one.example", "privkey.pem")); err != nil {
		t.Error(err)
	}

	// Nothing that is another's, by any way.
	theirs := fmt.Sprintf("/v1/agent/fetch/%d", two.Version.ID)
	if status, body := first.ask(t, h.url, "POST", theirs, "{}"); status != 404 || strings.Contains(body, "BEGIN") {
		t.Errorf("fetched another's version: %d %s", status, body)
	}
	if status, body := first.ask(t, h.url, "POST", fmt.Sprintf("/v1/agent/fetch/%d", one.Version.ID), "{}"); status != 200 || !strings.Contains(body, "PRIVATE KEY") {
		t.Errorf("its own version: %d %s", status, body)
	}
	for _, r := range [][2]string{{"GET", "/v1/certificates"}, {"GET", "/v1/agents"}, {"POST", "/v1/agents"}, {"POST", fmt.Sprintf("/v1/versions/%d/export", one.Version.ID)}, {"GET", fmt.Sprintf("/v1/versions/%d", two.Version.ID)}, {"GET", "/v1/events"}, {"POST", "/v1/tokens"}} {
		if status, body := first.ask(t, h.url, r[0], r[1], "{}"); status != 401 {
			t.Errorf("%s %s as an agent: %d %s", r[0], r[1], status, body)
		}
	}
	key, err := h.app.DB.Version(t.Context(), two.Version.ID)
	if err != nil {
		t.Fatal(err)
	}
	openings, err := h.app.DB.KeyOpenings(t.Context(), key.KeyID, 10)
	if err != nil || len(openings) != 1 || openings[0].Actor != "agent:edge-2" || openings[0].Reason != "pull" || openings[0].N != 1 {
		t.Errorf("openings of the second's key: %+v, %v", openings, err)
	}

	// A service that does not reload is told of, and so is that it works again.
	os.WriteFile(calls, nil, 0o600)
	h.put("one.example", "edge-1")
	until(t, "the failed updater is known", func() (bool, string) {
		d, s := h.delivery("one.example"), ""
		if a, err := h.c.Agent(t.Context(), "edge-1"); err == nil {
			s = a.Problem
		}
		return d.State == "applied" && strings.Contains(d.Problem, "updater web") && strings.Contains(s, "updater web"), d.State + " " + d.Problem + " / " + s
	})
	a, err := h.c.Agent(t.Context(), "edge-1")
	if err != nil || a.State != "active" || len(a.Lineages) != 1 || a.Lineages[0].Fingerprint == "" || a.SkewMillis > 2000 {
		t.Errorf("agent %+v, %v", a, err)
	}

	// A restart finds nothing to fetch; what was lost comes back.
	stopFirst()
	if err := os.RemoveAll(filepath.Join(first.conf.Dir, "live")); err != nil {
		t.Fatal(err)
	}
	os.Remove(calls)
	first.run(t)
	until(t, "what was lost is back", func() (bool, string) {
		_, err := os.Stat(filepath.Join(first.conf.Dir, "live", "one.example", "privkey.pem"))
		return err == nil, fmt.Sprint(err)
	})
	h.until("one.example", "applied")

	// Revoked: refused at once, and what it holds stays.
	if _, err := h.c.RevokeAgent(t.Context(), "edge-1"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/agent/assigned", "/v1/agent/rejoin", "/v1/agent/report", fmt.Sprintf("/v1/agent/fetch/%d", one.Version.ID)} {
		if status, body := first.ask(t, h.url, "POST", path, `{"request":"x","round":"x","clock":"2026-01-01T00:00:00Z"}`); status != 401 || !strings.Contains(body, "advice") {
			t.Errorf("%s after the revocation: %d %s", path, status, body)
		}
	}
	h.put("two.example", "edge-2")
	h.until("two.example", "applied")
	for label, b := range map[string]*beside{"edge-1": first, "edge-2": second} {
		text, _ := os.ReadFile(b.conf.Identity)
		info, err := os.Stat(b.conf.Identity)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("identity of %s: %v %v", label, info, err)
		}
		var id map[string]string
		json.Unmarshal(text, &id)
		tok, _ := api.ParseJoinToken(tokens[label])
		for what, secret := range map[string]string{"join secret": tok.Secret, "identity key": strings.Split(id["key"], "\n")[1], "any key": "PRIVATE KEY"} {
			if secret == "" || strings.Contains(b.log.String(), secret) {
				t.Errorf("the log of %s holds the %s, or there is none", label, what)
			}
		}
	}
}

func TestAJoinTokenIsGoodOnceInTimeAndAtItsManagerAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBeside(t, "")
	refused := func(what, token string) {
		t.Helper()
		_, err := agent.Join(t.Context(), b.conf, token)
		if certfleet.KindOf(err) != certfleet.Denied || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v (%s)", what, err, certfleet.AdviceOf(err))
		}
		if _, err := os.Stat(b.conf.Identity); err == nil {
			t.Errorf("%s left an identity", what)
		}
	}
	token := h.invite("edge-1")
	pinned, err := api.ParseJoinToken(token)
	if err != nil {
		t.Fatal(err)
	}
	pinned.CA = strings.Repeat("0", 64)
	refused("another manager's pin", pinned.String())
	late := h.invite("edge-2")
	h.app.DB.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		a, err := tx.AgentByLabel(t.Context(), 0, "edge-2")
		if err != nil {
			t.Error(err)
			return err
		}
		a.JoinUntil = time.Now()
		return tx.SaveAgent(t.Context(), a)
	})
	refused("an expired token", late)
	made := pinned
	made.CA, made.Secret = mustPin(t, token), "made-up"
	refused("a made-up secret", made.String())
	if _, err := agent.Join(t.Context(), b.conf, "cfj_nonsense"); certfleet.KindOf(err) != certfleet.Invalid || strings.Contains(err.Error(), "nonsense") {
		t.Errorf("no token at all: %v", err)
	}
	if _, err := agent.Join(t.Context(), b.conf, token); err != nil {
		t.Fatalf("the token was used up by those who were refused: %v", err)
	}
	if left, _ := filepath.Glob(b.conf.Identity + ".*"); len(left) > 0 {
		t.Errorf("a join left %v", left)
	}
	other := newBeside(t, "")
	b = other
	refused("a used token", token)
}

func mustPin(t *testing.T, token string) string {
	t.Helper()
	j, err := api.ParseJoinToken(token)
	if err != nil {
		t.Fatal(err)
	}
	return j.CA
}

func TestAJoinWhoseAnswerWasLostGoesOnWithItsKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b, token := newBeside(t, ""), h.invite("edge-1")
	if err := os.MkdirAll(filepath.Join(b.conf.Identity, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Join(t.Context(), b.conf, token); certfleet.KindOf(err) != certfleet.Denied || !strings.Contains(certfleet.AdviceOf(err), "same token") {
		t.Fatalf("an identity that cannot be written: %v (%s)", err, certfleet.AdviceOf(err))
	}
	if _, err := agent.Join(t.Context(), newBeside(t, "").conf, token); certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("another host took the token: %v", err)
	}
	if err := os.RemoveAll(b.conf.Identity); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Join(t.Context(), b.conf, token); err != nil {
		t.Fatal(err)
	}
	if status, body := b.ask(t, h.url, "POST", "/v1/agent/assigned", "{}"); status != 404 || !strings.Contains(body, "no target") {
		t.Errorf("as the agent: %d %s", status, body)
	}
}

func TestAgentsHaveAListenerOfTheirOwnWhereTheAPIIsPlain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *config.Config) { c.TLS.Plain, c.Listen.Agents = true, "127.0.0.1:0" })
	h.url = "https://" + h.app.Addr("agents")
	if _, err := h.c.AddTarget(t.Context(), client.Target{Label: "edge-1", Type: "pull"}); err != nil {
		t.Fatal(err)
	}
	h.put("one.example", "edge-1")
	b := newBeside(t, "")
	if _, err := agent.Join(t.Context(), b.conf, h.invite("edge-1")); err != nil {
		t.Fatal(err)
	}
	b.run(t)
	h.until("one.example", "applied")
	for _, path := range []string{"/v1/certificates", "/v1/agents", "/metrics", "/", "/v1/agent/../agents"} {
		if status, body := b.ask(t, h.url, "GET", path, ""); status != 404 {
			t.Errorf("%s beside agents' own: %d %s", path, status, body)
		}
	}
	bare := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := bare.Post(h.url+"/v1/agent/assigned", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("without a client certificate: %d", res.StatusCode)
	}
}

func TestAnAgentRenewsItsIdentityAtHalfOfItsLife(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	h := newHouse(t)
	h.app.Enroll.Life = 20 * time.Second
	b := newBeside(t, "")
	if _, err := agent.Join(t.Context(), b.conf, h.invite("edge-1")); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(b.conf.Identity)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10100 * time.Millisecond)
	b.run(t)
	until(t, "the next key is in use", func() (bool, string) {
		n := 0
		for _, err := range h.c.Events(t.Context(), client.EventQuery{Kind: "agent.renewed"}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n == 1, fmt.Sprint(n, " events; ", b.log)
	})
	after, err := os.ReadFile(b.conf.Identity)
	if err != nil || bytes.Equal(before, after) {
		t.Errorf("the identity is as it was: %v", err)
	}
	os.WriteFile(b.conf.Identity, before, 0o600)
	if status, _ := b.ask(t, h.url, "POST", "/v1/agent/assigned", "{}"); status != 401 {
		t.Errorf("the key that was replaced still opens: %d", status)
	}
}
