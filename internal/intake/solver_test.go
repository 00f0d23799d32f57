package intake

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func TestASolverWithoutItsChallengeIsRefused(t *testing.T) {
	for challenge, ok := range map[string]bool{"": false, "http-01": false, "dns-01": true} {
		_, err := wanted(api.NewCertificate{Names: []string{"shop.example"}, Challenge: challenge, Solver: "office"})
		if ok != (err == nil) {
			t.Errorf("challenge %q: %v", challenge, err)
		}
		if !ok && (certfleet.KindOf(err) != certfleet.Invalid || !strings.Contains(certfleet.AdviceOf(err), "--challenge dns-01")) {
			t.Errorf("challenge %q: %v, advice %q", challenge, err, certfleet.AdviceOf(err))
		}
	}
}
