package app_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/trial"
)

const sighup = syscall.SIGHUP

var loopback = config.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}

// TestAOneShotAgentFetchesTellsAndProves runs the agent as a timer would: each sync
// is a process of its own, and when it has ended the manager knows what came of it.
func TestAOneShotAgentFetchesTellsAndProves(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	m, h := newManor(t), newHut(t, "one.example")
	if _, err := m.c.AddTarget(t.Context(), client.Target{Label: "edge-1", Type: "pull"}); err != nil {
		t.Fatal(err)
	}
	first := m.put("one.example", "edge-1").Version
	h.must("join "+m.invite("edge-1"), "joined as edge-1")
	is := func(state, problem string) {
		t.Helper()
		d := m.delivery("one.example")
		if d.State != state || !strings.Contains(d.Problem, problem) || problem == "" && d.Problem != "" {
			t.Errorf("it is %s, %q; want %s, %q", d.State, d.Problem, state, problem)
		}
	}
	h.must("sync", "live: one.example\nupdated: web\n")
	is("served", "")
	if got := h.serves("one.example"); got != first.Fingerprint {
		t.Errorf("the service shows %s", got)
	}
	if said, err := h.run("sync"); err != nil || strings.Contains(said, "live:") || strings.Contains(said, "updated:") {
		t.Errorf("once more: %v, %s", err, said)
	}

	// An updater that fails is told of, ends with 1, and is told again next time.
	h.mark("broken", true)
	m.put("one.example", "edge-1")
	if said, err := h.run("sync"); err == nil || !strings.Contains(said, "error: updater web") || !strings.Contains(said, "live: one.example") {
		t.Errorf("a broken updater: %v, %s", err, said)
	}
	is("applied", "updater web")
	h.mark("broken", false)
	h.must("sync", "updated: web\n")
	is("served", "")

	// A reload that goes well and changes nothing is no proof.
	before := h.serves("one.example")
	h.mark("asleep", true)
	third := m.put("one.example", "edge-1").Version
	h.must("sync", "live: one.example\nupdated: web\n")
	is("applied", "serves another certificate")
	if got := h.serves("one.example"); got != before {
		t.Errorf("the service shows %s", got)
	}
	h.mark("asleep", false)
	h.service.Process.Signal(sighup)
	h.must("sync", "")
	is("served", "")
	if n := m.events("delivery.served", m.delivery("one.example").CertificateID); n != 3 {
		t.Errorf("it was served %d times, want once for each of three versions", n)
	}

	// Without its manager an agent takes what is pushed, and says so.
	m.fall()
	renewed := issue(m.ca, "one.example")
	h.stage("one.example", renewed)
	h.must("sync", "the manager was not told; this goes on without it")
	if got := h.serves("one.example"); got == third.Fingerprint || len(got) != 64 {
		t.Errorf("the service shows %s, as before", got)
	}
}

// stage lays a pair into staging by hand.
func (h *hut) stage(label string, i pki.Issued) {
	h.Helper()
	dir := filepath.Join(h.dir, "staging", label)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.Fatal(err)
	}
	for name, text := range map[string][]byte{"fullchain.pem": i.ChainPEM, "privkey.pem": i.KeyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			h.Fatal(err)
		}
	}
}

// TestAPushIsProvedByWhatItsAgentSees has a target that nobody but its own agent can
// look at: what the agent says brings the delivery from applied to served.
func TestAPushIsProvedByWhatItsAgentSees(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	m, h := newManor(t), newHut(t, "one.example")
	if _, err := m.c.AddTarget(t.Context(), client.Target{Label: "edge-1", Type: "sftp", Spec: map[string]any{"host": "127.0.0.1", "port": h.port,
		"path": filepath.Join(h.dir, "staging"), "key": "file:" + h.key, "host_keys": []string{ssh.FingerprintSHA256(h.host)}}}); err != nil {
		t.Fatal(err)
	}
	h.must("join "+m.invite("edge-1"), "joined as edge-1")
	h.daemon()
	first := m.put("one.example", "edge-1").Version
	m.until("one.example", "served")
	if got := h.serves("one.example"); got != first.Fingerprint {
		t.Errorf("served is %s, shown %s", first.Fingerprint, got)
	}

	h.mark("asleep", true)
	second := m.put("one.example", "edge-1").Version
	until(t, "the agent says that the old one is served", func() (bool, string) {
		d := m.delivery("one.example")
		return d.State == "applied" && strings.Contains(d.Problem, "serves another certificate") && d.Advice != "", d.State + " " + d.Problem
	})
	if got := h.serves("one.example"); got != first.Fingerprint {
		t.Errorf("the service shows %s", got)
	}
	story, err := m.c.Why(t.Context(), "one.example")
	if err != nil || story.Verdict == "served" || !strings.Contains(strings.Join(story.Sentences, " "), "serves another certificate") {
		t.Errorf("why: %+v, %v", story, err)
	}

	// Delivered by force, services are told once more, and the agent looks again.
	h.mark("asleep", false)
	if got, err := m.c.Deliver(t.Context(), client.DeliverRequest{Name: "one.example", Force: true}); err != nil || got.Due != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	m.until("one.example", "served")
	if got := h.serves("one.example"); got != second.Fingerprint {
		t.Errorf("served is %s, shown %s", second.Fingerprint, got)
	}

	// A service that is only slow is looked at again without anybody's help.
	h.mark("asleep", true)
	m.put("one.example", "edge-1")
	until(t, "the old one is seen", func() (bool, string) {
		d := m.delivery("one.example")
		return strings.Contains(d.Problem, "serves another certificate"), d.State + " " + d.Problem
	})
	h.mark("asleep", false)
	h.service.Process.Signal(sighup)
	m.until("one.example", "served")
}

// TestReportsWaitForAManagerThatIsAway lets pairs go live at agents while the manager
// is down: when it is back it hears of each, once, and nothing is fetched or pushed.
func TestReportsWaitForAManagerThatIsAway(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	const agents, each = 3, 20
	m := newManor(t)
	huts, ids := []*hut{}, map[string]int64{}
	for a := range agents {
		label := fmt.Sprintf("edge-%d", a)
		if _, err := m.c.AddTarget(t.Context(), client.Target{Label: label, Type: "pull"}); err != nil {
			t.Fatal(err)
		}
		h := newHut(t, "nothing")
		h.plain()
		h.must("join "+m.invite(label), "joined as "+label)
		for i := range each {
			name := fmt.Sprintf("site%d.%s.example", i, label)
			pair := issue(m.ca, name)
			got, err := m.c.ImportCertificate(t.Context(), client.Import{Label: name, ChainPEM: string(pair.ChainPEM), KeyPEM: string(pair.KeyPEM), Targets: []string{label}})
			if err != nil {
				t.Fatal(err)
			}
			ids[name] = got.Certificate.ID
			h.stage(name, pair)
		}
		huts = append(huts, h)
	}
	m.fall()
	for _, h := range huts {
		_, said := h.daemon()
		until(t, "the pairs are live while the manager is away", func() (bool, string) {
			live, _ := filepath.Glob(filepath.Join(h.dir, "certs", "live", "*"))
			return len(live) == each && strings.Contains(said.String(), "the manager was not told"), fmt.Sprint(len(live), " ", said)
		})
	}
	m.rise()
	for name, id := range ids {
		m.until(name, "applied")
		if n := m.events("delivery.applied", id); n != 1 {
			t.Errorf("%s was applied %d times", name, n)
		}
		if n := m.events("delivery.sent", id); n != 0 {
			t.Errorf("%s was fetched, although it was there", name)
		}
	}
}

// plain leaves the service and its updaters out of the agent's configuration.
func (h *hut) plain() {
	h.Helper()
	text, err := os.ReadFile(h.file)
	if err != nil {
		h.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "updaters:")
	if err := os.WriteFile(h.file, []byte(strings.Replace(before, "serves:", "#", 1)), 0o600); err != nil {
		h.Fatal(err)
	}
}

// TestWhatAnAgentsClockRefusesWaitsAndStopsNothing has a certificate that is not valid
// yet, as every new one is by a clock that is behind. It is refused and told of, the
// last good one stays, others arrive meanwhile, and it is taken once its time has come.
func TestWhatAnAgentsClockRefusesWaitsAndStopsNothing(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	m, h := newManor(t), newHut(t, "one.example")
	if _, err := m.c.AddTarget(t.Context(), client.Target{Label: "edge-1", Type: "pull"}); err != nil {
		t.Fatal(err)
	}
	first := m.put("one.example", "edge-1").Version
	h.must("join "+m.invite("edge-1"), "joined as edge-1")
	h.daemon()
	m.until("one.example", "served")
	const behind = 20 * time.Second // enough to be refused first
	later, err := m.ca.IssueServer([]string{"one.example"}, 2*time.Hour, time.Now().Add(time.Hour+behind))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.c.ImportCertificate(t.Context(), client.Import{Label: "one.example", ChainPEM: string(later.ChainPEM), KeyPEM: string(later.KeyPEM), Targets: []string{"edge-1"}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the refusal is told of", func() (bool, string) {
		d := m.delivery("one.example")
		return d.State == "failed" && strings.Contains(d.Problem, "valid only from") && strings.Contains(d.Advice, "clock"), d.State + " " + d.Problem + " " + d.Advice
	})
	if got := h.serves("one.example"); got != first.Fingerprint {
		t.Errorf("the service shows %s", got)
	}
	m.put("two.example", "edge-1")
	until(t, "another certificate goes live", func() (bool, string) {
		_, err := os.Stat(filepath.Join(h.dir, "certs", "live", "two.example", "privkey.pem"))
		return err == nil, fmt.Sprint(err)
	})
	m.until("one.example", "served")
	if got := h.serves("one.example"); got == first.Fingerprint || len(got) != 64 {
		t.Errorf("the service shows %s", got)
	}
}
