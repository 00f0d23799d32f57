package sftp

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestAnOlderVersionComesBackOnPurposeOnly goes back at an agent and at OpenSSH.
func TestAnOlderVersionComesBackOnPurposeOnly(t *testing.T) {
	t.Parallel()
	for peer, at := range map[string]func(*testing.T) host{
		"agent":   func(t *testing.T) host { h, _ := ours(t, nil); return h },
		"openssh": func(t *testing.T) host { return sshd(t, "ed25519") },
	} {
		t.Run(peer, func(t *testing.T) {
			target := at(t).target(t, nil)
			older, newer := shop(t, 1), shop(t, 2)
			must(t, target, older)
			must(t, target, newer)
			before := []certfleet.Receipt{{Certificate: newer.Certificate, Version: newer.Version}}
			got, err := target.Deliver(t.Context(), []certfleet.Bundle{older}, before)
			if err != nil || certfleet.KindOf(got[0].Err) != certfleet.Conflict {
				t.Errorf("an older version: %+v, %v", got, err)
			}
			older.Rollback = true
			if got, err = target.Deliver(t.Context(), []certfleet.Bundle{older}, before); err != nil || got[0].Err != nil || !got[0].Applied {
				t.Errorf("back on purpose: %+v, %v", got, err)
			}
			if held, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); held != older.Fingerprint || err != nil {
				t.Errorf("it holds %s, %v", held, err)
			}
			must(t, target, newer)
		})
	}
}

// TestAnAgentTellsServicesOnceMoreWhenAsked has a service that serves the old
// certificate although its reload went well.
func TestAnAgentTellsServicesOnceMoreWhenAsked(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	text := `{"note":{"type":"script","command":["sh","-c","echo x >> ` + out + `"]}}`
	h, _ := ours(t, func(c *agent.Config) {
		s, err := config.NewSection("agent", "", []byte(`{"updaters":`+text+`}`))
		if err == nil {
			err = s.Decode(c)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	told := func(n int) {
		t.Helper()
		trial.Until(t, fmt.Sprintf("services are told %d times", n), func() (bool, string) {
			b, _ := os.ReadFile(out)
			return len(b) == 2*n, fmt.Sprint(len(b) / 2)
		})
	}
	target, b := h.target(t, nil), shop(t, 1)
	must(t, target, b)
	told(1)
	b.Again = true
	must(t, target, b)
	told(2)
}
