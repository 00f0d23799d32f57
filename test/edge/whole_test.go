package edge

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/trial"
)

// run starts a prime or a verify and waits for its end.
func (h *house) run(start, look func() (*client.TargetRun, error)) *client.TargetRun {
	h.Helper()
	got, err := start()
	for deadline := time.Now().Add(trial.Patience); err == nil && got.State == "running"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("it goes on and on: %+v", got)
		}
		got, err = look()
	}
	if err != nil {
		h.Fatal(err)
	}
	return got
}

func (h *house) prime() *client.TargetRun {
	h.Helper()
	return h.run(func() (*client.TargetRun, error) { return h.client.PrimeTarget(h.Context(), "edges") },
		func() (*client.TargetRun, error) { return h.client.Prime(h.Context(), "edges") })
}

func (h *house) verify() *client.TargetRun {
	h.Helper()
	return h.run(func() (*client.TargetRun, error) { return h.client.VerifyTarget(h.Context(), "edges") },
		func() (*client.TargetRun, error) { return h.client.Verification(h.Context(), "edges") })
}

func TestPrimeFillsARedisThatCameBackEmpty(t *testing.T) {
	trial.InFull(t)
	r := start(t, settings{Options: "error_ttl = 0.2"})
	h := newHouse(t, nil)
	h.target(r)
	names := []string{"a.example.com", "b.example.com", "c.example.com"}
	prints := map[string]string{}
	for _, n := range names {
		prints[n] = h.fingerprint(h.want("default", []string{"edges"}, n).Certificate.VersionID)
	}
	if got := h.verify(); got.State != "done" || got.Failed != 0 || got.Certificates != len(names) || got.Total != len(names) {
		t.Fatalf("after delivery the target is %+v", got)
	}
	r.server.Stop()
	r.server.Run()
	if got := h.verify(); got.State != "done" || got.Failed != len(names) || len(got.Findings) != len(names) || got.Findings[0].Want != prints["a.example.com"] || got.Findings[0].Have != "" {
		t.Fatalf("an empty Redis is %+v", got)
	}
	if got := h.prime(); got.State != "done" || got.Certificates != len(names) || got.Names != len(names) || got.Failed != 0 || got.EndedAt == nil {
		t.Fatalf("primed %+v", got)
	}
	if got := h.verify(); got.Failed != 0 {
		t.Errorf("after the prime %+v", got)
	}
	for n, fp := range prints {
		r.eventually(n+" from the filled Redis", func() bool { return r.served(n) == fp })
	}
}

func TestOnlyTargetsThatCanAreWrittenWhole(t *testing.T) {
	h := newHouse(t, nil)
	if _, err := h.client.AddTarget(t.Context(), client.Target{Label: "edges", Type: "files", Spec: map[string]any{"dir": t.TempDir()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.Prime(t.Context(), "edges"); err == nil {
		t.Error("a prime that nobody started is told")
	}
	if _, err := h.client.PrimeTarget(t.Context(), "edges"); err == nil {
		t.Error("a folder was primed")
	}
}
