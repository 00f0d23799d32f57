package intake

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func TestALabelThatMakesNoFolderNameIsRefusedAtOnce(t *testing.T) {
	k := newKit(t)
	for label, want := range map[string]string{
		strings.Repeat("a", 200): "",
		strings.Repeat("a", 201): "201 characters",
		strings.Repeat("ü", 33):  "",
		strings.Repeat("ü", 34):  "34 characters, which need more room",
		strings.Repeat("é", 256): "256 characters",
	} {
		_, err := k.Add(t.Context(), api.NewCertificate{Label: label, Names: []string{"a.example.com"}}, "operator")
		_, applied := k.ApplyFleet(t.Context(), api.Fleet{Certificates: []api.FleetCertificate{{Label: label, Names: []string{"a.example.com"}}}}, true)
		for _, err := range []error{err, applied} {
			switch {
			case want == "" && err != nil:
				t.Errorf("%.20s: %v", label, err)
			case want != "" && (certfleet.KindOf(err) != certfleet.Invalid || !strings.Contains(err.Error(), want) || certfleet.AdviceOf(err) == ""):
				t.Errorf("%.20s: got %v (%s), want %q", label, err, certfleet.AdviceOf(err), want)
			}
		}
	}
}
