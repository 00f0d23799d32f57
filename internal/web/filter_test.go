package web

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestAStateThatNothingHasIsRefused(t *testing.T) {
	k := newKit(t)
	for _, path := range []string{"/v1/certificates?state=", "/v1/orders?state=", "/v1/authorizations?state=", "/v1/authorizations?status=", "/v1/challenges?state=", "/v1/deliveries?state="} {
		r := k.do(k.tokens[certfleet.ScopeRead], "GET", path+"failling", "")
		if p := r.problem(t); r.status != 422 || !strings.Contains(p.Advice, "use one of ") {
			t.Errorf("GET %sfailling answers %d, %q", path, r.status, p.Advice)
		}
	}
}
