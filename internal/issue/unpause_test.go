package issue_test

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/issue"
)

// TestAPausedNameIsNeverToldToWait has pauses with a page and without one: neither
// frees by itself.
func TestAPausedNameIsNeverToldToWait(t *testing.T) {
	const paused = "Your account is temporarily prevented from requesting certificates for shop.example."
	for see, want := range map[string]string{
		"https://ca.example/unpause?jwt=abc": "open https://ca.example/unpause?jwt=abc to unpause",
		"":                                   "open the page that the CA names to unpause",
	} {
		got := issue.Advice(&acme.Problem{Type: "urn:ietf:params:acme:error:rateLimited", Status: 429, Detail: paused, See: see}, "")
		if !strings.HasPrefix(got, want) || !strings.Contains(got, "limits --clear") {
			t.Errorf("with the page %q: %s", see, got)
		}
	}
}
