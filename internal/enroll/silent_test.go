package enroll

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (k *kit) silent(label string) {
	k.Helper()
	due, err := k.DB.DueAgents(k.Context(), k.now, 10)
	k.must(err)
	for _, a := range due {
		if a.Label == label {
			k.must(k.Silent(k.Context(), a.ID, k.now))
		}
	}
}

func TestASilentAgentIsToldOfOnceAndWhenItIsBack(t *testing.T) {
	k := newKit(t)
	k.join("edge-1")
	k.join("edge-2")
	k.invite("edge-3")
	k.now = k.now.Add(certfleet.AgentSilence - time.Minute)
	k.says("edge-2", api.AgentReport{Round: "r"})
	k.silent("edge-1")
	k.told("agent.silent", 0, "")
	k.now = k.now.Add(2 * time.Minute)
	for range 3 {
		k.silent("edge-1")
		k.silent("edge-2")
		k.silent("edge-3")
	}
	k.told("agent.silent", 1, "edge-1 joined at")
	if s := k.agent("edge-1").State(k.now); s != certfleet.AgentSilent {
		t.Errorf("edge-1 is %s", s)
	}
	k.says("edge-1", api.AgentReport{Round: "r"})
	k.says("edge-1", api.AgentReport{Round: "r"})
	k.told("agent.heard", 1, "edge-1 reports again")
	k.now = k.now.Add(certfleet.AgentSilence)
	k.silent("edge-1")
	k.told("agent.silent", 2, "edge-1 has not reported since")
	if _, err := k.Revoke(t.Context(), k.agent("edge-2").ID, k.now); err != nil {
		t.Fatal(err)
	}
	k.silent("edge-2")
	k.told("agent.silent", 2, "edge-1")
}

func TestAnAgentThatWasHeardMeanwhileHasItsTimeAgain(t *testing.T) {
	k := newKit(t)
	a := k.join("edge-1")
	a.QuietAt = k.now.Add(-time.Second) // as an older release left it
	k.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveAgent(ctx, a) })
	k.silent("edge-1")
	k.told("agent.silent", 0, "")
	if got := k.agent("edge-1").QuietAt; !got.Equal(k.now.Add(certfleet.AgentSilence)) {
		t.Errorf("it is due at %s", got)
	}
}
