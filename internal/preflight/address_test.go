package preflight

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestNoAddressIsAdvisedToDNS01(t *testing.T) {
	t.Parallel()
	names, err := certfleet.ParseNames([]string{"a.example.com", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	for _, advice := range []string{PortClosed.Advice(), "open port 443 to the internet, or choose http-01 or dns-01", advise(PortClosed, certfleet.TLSALPN01)} {
		if got := Possible(advice, names...); strings.Contains(got, "dns-01") || !strings.Contains(got, "open port") {
			t.Errorf("%q becomes %q", advice, got)
		}
		if got := Possible(advice, names[0]); got != advice {
			t.Errorf("without an address %q becomes %q", advice, got)
		}
	}
}
