package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/target/redis"
	"github.com/certfleet/certfleet/internal/target/redis/redistest"
	"github.com/certfleet/certfleet/internal/trial"
)

// edgeToken and adminToken are what the house lets in.
const edgeToken, adminToken = "cf_edge-token-of-the-test", "cf_admin-token-of-the-test"

// house is the real manager with Pebble as its CA: what edges are served by.
type house struct {
	*app.App
	testing.TB
	ca     *pebble.CA
	client *client.Client
	edge   string // the URL that edges look up at, with its prefix and without a token
}

func newHouse(t testing.TB, change func(*config.Config, *pebble.Options)) *house {
	t.Helper()
	h := &house{TB: t}
	c, o := config.Default(), pebble.Options{HTTPPort: port(t), TLSPort: port(t)}
	c.StateDir, c.Database = t.TempDir(), config.Database(t.TempDir()+"/certfleet.db")
	c.Listen = config.Listen{API: config.Off, HTTP01: loopback(o.HTTPPort), TLSALPN01: loopback(o.TLSPort), Edge: loopback(port(t))}
	c.Edge.Plain = true
	if change != nil {
		change(c, &o)
	}
	var err error
	if h.ca, err = pebble.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.ca.Close() })
	key, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if h.App, err = app.New(t.Context(), c, app.Options{Keeper: key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.App.Close() })
	h.furnish()
	h.open()
	return h
}

func port(t testing.TB) int {
	n, err := strconv.Atoi(redistest.FreePort(t))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func loopback(port int) config.Address {
	return config.Address(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// furnish writes the CA, an account there, a policy for each challenge, and tokens.
func (h *house) furnish() {
	h.Helper()
	err := h.DB.Tx(h.Context(), time.Now(), func(tx *store.Tx) error {
		ctx := h.Context()
		a := &certfleet.Authority{Label: "pebble", DirectoryURL: h.ca.DirectoryURL, TrustPEM: string(h.ca.TrustPEM)}
		if err := tx.AddAuthority(ctx, a); err != nil {
			return err
		}
		if err := tx.AddAccount(ctx, &certfleet.Account{AuthorityID: a.ID, Label: "main", AgreedAt: tx.Now(), Contact: []string{"mailto:tls@certfleet.test"}}); err != nil {
			return err
		}
		for label, challenge := range map[string]certfleet.ChallengeType{"default": "", "alpn": certfleet.TLSALPN01} {
			if err := tx.AddPolicy(ctx, &certfleet.Policy{Label: label, Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}, Challenge: challenge}}); err != nil {
				return err
			}
		}
		for token, scope := range map[string]certfleet.Scope{edgeToken: certfleet.ScopeEdge, adminToken: certfleet.ScopeAdmin} {
			sum := sha256.Sum256([]byte(token))
			if err := tx.AddToken(ctx, &certfleet.Token{Label: string(scope), Hash: hex.EncodeToString(sum[:]), Scopes: []certfleet.Scope{scope}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
}

// open runs the manager until the test ends.
func (h *house) open() {
	h.Helper()
	ctx, end := context.WithCancel(context.WithoutCancel(h.Context()))
	ended := make(chan error, 1)
	go func() { ended <- h.App.Run(ctx) }()
	h.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			h.Errorf("the manager ended with %v", err)
		}
	})
	select {
	case <-h.Ready():
	case err := <-ended:
		ended <- err
		h.Fatal(err)
	}
	api := httptest.NewServer(h.Handler())
	h.Cleanup(api.Close)
	h.client = client.New(api.URL, client.Options{Token: adminToken})
	h.edge = "http://" + h.Addr("edge") + "/.well-known/peter_sslers"
}

// target makes the rig's Redis a target of the manager, served at the rig.
func (h *house) target(r *rig) {
	h.Helper()
	var spec map[string]any
	text, err := json.Marshal(redis.Config{URL: r.server.URL(9)})
	if err == nil {
		err = json.Unmarshal(text, &spec)
	}
	if err == nil {
		_, err = h.client.AddTarget(h.Context(), client.Target{Label: "edges", Type: "redis", Spec: spec, Probe: []string{r.TLS}})
	}
	if err != nil {
		h.Fatal(err)
	}
}

// want asks for a certificate and waits until the manager has it, and has seen it
// served where it goes.
func (h *house) want(policy string, targets []string, names ...string) *client.Why {
	h.Helper()
	got, err := h.client.AddCertificate(h.Context(), client.NewCertificate{Names: names, Policy: policy, Targets: targets})
	if err != nil {
		h.Fatal(err)
	}
	return h.until(got.Label, map[bool]string{true: "valid", false: "served"}[len(targets) == 0], 0)
}

// until waits for a verdict about a version newer than one.
func (h *house) until(label, verdict string, newer int64) *client.Why {
	h.Helper()
	for deadline := time.Now().Add(trial.Patience); ; time.Sleep(50 * time.Millisecond) {
		w, err := h.client.Why(h.Context(), label)
		if err != nil {
			h.Fatal(err)
		}
		if w.Verdict == verdict && w.Certificate.VersionID > newer {
			return w
		}
		if time.Now().After(deadline) {
			h.Fatalf("%s is not %s: %v", label, verdict, w.Sentences)
		}
	}
}

// fingerprint is that of a version.
func (h *house) fingerprint(version int64) string {
	h.Helper()
	v, err := h.DB.Version(h.Context(), version)
	if err != nil {
		h.Fatal(err)
	}
	return v.Fingerprint
}

// withToken puts the edge's token into the URL, as basic auth.
func (h *house) withToken() string {
	return fmt.Sprintf("http://edge:%s@%s", edgeToken, h.edge[len("http://"):])
}
