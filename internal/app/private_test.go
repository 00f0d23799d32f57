package app

import (
	"testing"

	"github.com/certfleet/certfleet"
)

// TestAnAuthorityOfOurOwnIsToldFromAPublicOne decides whether names are looked
// at when nobody said.
func TestAnAuthorityOfOurOwnIsToldFromAPublicOne(t *testing.T) {
	for _, c := range []struct {
		url, trust string
		want       bool
	}{
		{"https://acme-v02.api.letsencrypt.org/directory", "", false},
		{"https://192.0.3.7/directory", "", false},
		{"https://ca.corp.internal/directory", "", true},
		{"https://pebble.test/dir", "", true},
		{"https://ca.corp.org/directory", "-----BEGIN CERTIFICATE-----", true},
		{"https://127.0.0.1:14000/dir", "", true},
		{"https://[::1]:14000/dir", "", true},
		{"https://10.1.2.3/dir", "", true},
		{"https://localhost:14000/dir", "", true},
		{"://", "", true},
	} {
		if got := private(&certfleet.Authority{DirectoryURL: c.url, TrustPEM: c.trust}); got != c.want {
			t.Errorf("%s with bundle %q: private %v", c.url, c.trust, got)
		}
	}
}
