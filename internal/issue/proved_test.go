package issue_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func (h *house) pending() []certfleet.Authorization {
	h.Helper()
	list, _, err := h.db.Authorizations(h.Context(), store.AuthorizationFilter{Tenant: certfleet.DefaultTenant, Status: "pending", Limit: 100})
	if err != nil {
		h.Fatal(err)
	}
	return list
}

func TestWhatTheCAFoundProvedIsNotPending(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	h.issue(h.room(nil), h.want("proved", "one.proved.example", "two.proved.example"))
	for _, a := range h.pending() {
		t.Errorf("the order is issued, and the authorization of %s still %s", a.Name, a.Status)
	}
}

func TestAChallengeSaysHowItEnded(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{Resolve: func(name string) []netip.Addr {
		if name == "broken.example" {
			return nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}})
	r := h.room(nil)
	proved := h.issue(r, h.want("proved", "well.proved.example"))
	refused := h.finish(r, h.open(r, h.want("broken.example", "broken.example")).ID)
	for o, want := range map[*certfleet.Order]string{proved: "valid", refused: "invalid"} {
		list, err := h.db.ChallengesOf(h.Context(), o.ID)
		if err != nil || len(list) != 1 || list[0].Status != want {
			t.Errorf("the order is %s, its challenges are %+v, %v; want one that is %s", o.State, list, err, want)
		}
	}
}

func TestARefusedRequestGivesNoProofUp(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	given := 0
	h.wire.breakBy(func(w http.ResponseWriter, _ *http.Request, body string) bool {
		if strings.Contains(body, `"deactivated"`) {
			given++
		}
		return strings.Contains(body, `"csr"`) && refuse(w, 400, "badCSR", "the key is not wanted", "")
	})
	r := h.room(nil)
	o := h.finish(r, h.open(r, h.want("kept.example")).ID)
	if o.State != certfleet.OrderFailed || given != 0 {
		t.Errorf("the order is %s (%s); %d proofs that the CA had accepted were given up", o.State, o.Problem, given)
	}
}
