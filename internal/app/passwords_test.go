package app

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
)

// TestNoPasswordStandsInSettings has what an API call brings, and what a file does.
func TestNoPasswordStandsInSettings(t *testing.T) {
	a := &App{}
	target := a.CheckTarget("cache", "redis", []byte(`{"url": "redis://edge:hunter2@192.0.2.7:6379/9"}`))
	s, err := config.NewSection("dns", "acmedns", []byte("server_url: https://u:hunter2@acmedns.test"))
	if err != nil {
		t.Fatal(err)
	}
	_, solver := a.buildSolver(s)
	for what, err := range map[string]error{"target": target, "solver": solver} {
		if certfleet.KindOf(err) != certfleet.Invalid || strings.Contains(err.Error(), "hunter2") || !strings.Contains(certfleet.AdviceOf(err), "env:NAME") {
			t.Errorf("%s: %v, advice %q", what, err, certfleet.AdviceOf(err))
		}
	}
}
