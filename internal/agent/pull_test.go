package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/target/files"
	"github.com/certfleet/certfleet/internal/trial"
)

// boss is a manager that hands out what is assigned, oldest first.
type boss struct {
	mu      sync.Mutex
	list    []api.Assignment
	bundles map[int64]certfleet.Bundle // what is not there is refused, guarded by mu
	reports []api.AgentReport          // guarded by mu
	sizes   []int64                    // of reports, in bytes, guarded by mu
}

// joined is a reporter whose manager is a boss.
func (k *kit) joined(b *boss) *reporter {
	k.Helper()
	srv := httptest.NewServer(b)
	k.Cleanup(srv.Close)
	r := newReporter(k.Agent, &identity{Agent: "edge-1"})
	r.m = &manager{id: &identity{Manager: srv.URL, Agent: "edge-1"}, http: srv.Client()}
	k.Agent.told, r.pull = r, true
	return r
}

func (b *boss) assign(version int64, label string, bundle *certfleet.Bundle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := api.Assignment{Version: version, Certificate: label, Fingerprint: fmt.Sprint("f", version)}
	if bundle != nil {
		if b.bundles == nil {
			b.bundles = map[int64]certfleet.Bundle{}
		}
		a.Fingerprint, b.bundles[version] = bundle.Fingerprint, *bundle
	}
	b.list = append(b.list, a)
}

// offer is a bundle of a made-up certificate.
func offer(t *testing.T, life time.Duration, names ...string) *certfleet.Bundle {
	t.Helper()
	f := pair(t, life, names...)
	certs, err := pki.ParseChain(f[lineage.FullChain])
	if err != nil {
		t.Fatal(err)
	}
	return &certfleet.Bundle{Names: pki.NamesOf(certs[0]), ChainPEM: f[lineage.FullChain], KeyPEM: f[lineage.PrivKey], Fingerprint: pki.Fingerprint(certs[0])}
}

func (b *boss) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	answer := func(status int, v any) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	var version int64
	switch {
	case r.URL.Path == "/v1/agent/assigned":
		answer(200, api.Assigned{Versions: b.list})
	case r.URL.Path == "/v1/agent/report":
		var rep api.AgentReport
		json.NewDecoder(r.Body).Decode(&rep)
		b.reports, b.sizes = append(b.reports, rep), append(b.sizes, r.ContentLength)
		answer(200, api.AgentOrders{Clock: time.Now(), Pull: true})
	default:
		fmt.Sscanf(r.URL.Path, "/v1/agent/fetch/%d", &version)
		one, ok := b.bundles[version]
		if !ok {
			answer(404, api.Problem{Detail: "it is not assigned to this agent", Kind: certfleet.NotFound.String()})
			return
		}
		answer(200, api.AgentBundle{Names: certfleet.Strings(one.Names), ChainPEM: string(one.ChainPEM), KeyPEM: string(one.KeyPEM)})
	}
}

func TestOneThatCannotBeFetchedHoldsUpNoOther(t *testing.T) {
	k, b := newKit(t, nil), &boss{}
	r := k.joined(b)
	for i := range pullPart + 5 { // more than go live together
		b.assign(int64(i+1), fmt.Sprintf("gone%d", i), nil)
	}
	good := offer(t, time.Hour, "shop.example")
	b.assign(1000, "shop", good)
	_, live, err := r.pullOnce(t.Context(), 0, make(chan struct{}, 1))
	if said := k.log.String(); len(live) != 1 || live[0] != "shop" || err != nil || !strings.Contains(said, "gone0") || !strings.Contains(said, "gone54") {
		t.Errorf("live %v, %v; want shop, and the others told of", live, err)
	}
	b.assign(1001, "blog", offer(t, time.Hour, "blog.example"))
	if n, live, err := r.pullOnce(t.Context(), 0, make(chan struct{}, 1)); len(live) != 1 || n > 2 || err != nil {
		t.Errorf("the next round has %d, live %v, %v; want blog alone, since the others wait for their next try", n, live, err)
	}
	if !r.pullNow() {
		t.Error("it asks no more, since one was superseded meanwhile")
	}
}

func TestWhatDoesNotGoLiveIsFetchedLast(t *testing.T) {
	k, b := newKit(t, nil), &boss{}
	r := k.joined(b)
	old := offer(t, -time.Hour, "old.example")
	for i := range pullPart {
		b.assign(int64(i+1), fmt.Sprintf("old%d", i), old)
	}
	good := offer(t, time.Hour, "shop.example")
	b.assign(1000, "shop", good)
	var live []string
	for range 2 {
		_, got, _ := r.pullOnce(t.Context(), 0, make(chan struct{}, 1))
		live = append(live, got...)
	}
	if len(live) != 1 || live[0] != "shop" {
		t.Errorf("live after two rounds: %v, want shop", live)
	}
}

func TestAnAgentThatHoldsItAllRestsBetweenQuestions(t *testing.T) {
	k, b := newKit(t, nil), &boss{}
	r := k.joined(b)
	good := offer(t, time.Hour, "shop.example")
	b.assign(1, "shop", good)
	ctx, stop := context.WithCancel(t.Context())
	ended, began := make(chan error, 1), time.Now()
	go func() { ended <- r.pulls(ctx, make(chan struct{}, 1)) }()
	told := func() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.reports) }
	trial.Until(t, "it tells what it holds", func() (bool, string) { return told() > 0, "no report" })
	time.Sleep(time.Second)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n, took := told(), time.Since(began); n > 2+int(took/lookAgain) {
		t.Errorf("%d reports in %s; a manager that does not take the agent's word is asked without a rest", n, took)
	}
}

func TestAReportFitsIntoWhatAManagerTakes(t *testing.T) {
	k, b := newKit(t, nil), &boss{}
	r := k.joined(b)
	const many = 600
	for i := range many {
		label := fmt.Sprintf("site%d", i)
		k.problems[label] = &certfleet.Error{Kind: certfleet.Internal, Msg: strings.Repeat("it failed\n", 300), Advice: "mend it"}
		r.touched(label)
	}
	if err := r.send(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := 0
	for i, rep := range b.reports {
		if told += len(rep.Lineages); b.sizes[i] > 512<<10 {
			t.Errorf("request %d of a report has %d bytes; a manager takes 1 MiB", i, b.sizes[i])
		}
	}
	if told != many {
		t.Errorf("told of %d certificates, want %d", told, many)
	}
}

func TestAServiceThatHangsHoldsNoReportUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k := newKit(t, func(c *Config) { c.Serves = []string{l.Addr().String()} })
	for i := range 5 {
		k.stage(fmt.Sprintf("site%d", i), pair(t, time.Hour, "shop.example"))
	}
	k.sync()
	b := &boss{}
	r := k.joined(b)
	r.touched(k.labels()...)
	ctx, enough := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer enough()
	began := time.Now()
	l1 := r.lineage(ctx, "site0")
	l2 := r.lineage(ctx, "site1")
	if took := time.Since(began); took > probe.Timeout || l1.Problem != "" || l2.Problem != "" || !r.unseen["site0"] || !r.unseen["site1"] {
		t.Errorf("after %s: %+v and %+v; to be looked at again: %v", took, l1, l2, r.unseen)
	}
}

func TestEveryLayoutTellsWhatIsLive(t *testing.T) {
	for _, layout := range []files.Layout{files.Certbot, files.HAProxy, files.PeterSSLers, Verbatim} {
		k := newKit(t, func(c *Config) { c.Layout = layout })
		k.stage("shop", pair(t, time.Hour, "shop.example"))
		k.sync()
		if got := k.labels(); len(got) != 1 || got[0] != "shop" {
			t.Errorf("layout %s: live are %v, want shop", layout, got)
		}
	}
}

func TestAnAgentAloneLooksAtNoIdentity(t *testing.T) {
	file := filepath.Join(t.TempDir(), "identity.json")
	if err := os.WriteFile(file, []byte("another agent's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, alone := range []bool{true, false} {
		a, err := New(Config{Staging: filepath.Join(t.TempDir(), "staging"), Dir: t.TempDir(), Identity: file, Alone: alone}, nil)
		if (err == nil) != alone {
			t.Errorf("alone %v: %v", alone, err)
		}
		if err == nil {
			if a.told != nil {
				t.Error("it speaks with a manager")
			}
			a.Close()
		}
	}
}
