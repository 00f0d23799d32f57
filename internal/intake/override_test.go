package intake

import (
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func TestAPaceIsOfAnAddressAlone(t *testing.T) {
	k := newKit(t)
	pace := api.LimitOverride{Authority: "ca", Limit: "pace-other", Count: 5, Period: "1s"}
	if _, err := k.OverrideRow(t.Context(), k.db.Q, pace); err != nil {
		t.Errorf("a pace for a CA: %v", err)
	}
	pace.Domain = "shop.example"
	if _, err := k.OverrideRow(t.Context(), k.db.Q, pace); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
		t.Errorf("a pace for one domain: %v; want a refusal with advice", err)
	}
}
