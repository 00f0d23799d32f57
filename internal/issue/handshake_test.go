package issue_test

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/work"
)

// TestOrdersOfANameTakeTurnsAtItsHandshakes: a handshake shows one answer, so the
// answer of a second order would make the CA refuse the first.
func TestOrdersOfANameTakeTurnsAtItsHandshakes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := build(t, db, pebble.Options{})
		p := h.policyLike("alpn", func(s *certfleet.PolicySpec) { s.Challenge = certfleet.TLSALPN01 })
		other := h.room(nil)
		second := h.open(other, h.wantBy(p, "second", "shop.example"))
		looked := false
		r := h.room(func(place string) {
			if place != "answered" || looked {
				return
			}
			looked = true
			if err := h.walk(other, work.OwnerName(), second.ID); err != nil {
				t.Error(err)
			}
			if list, err := db.ChallengesOf(t.Context(), second.ID); err != nil || len(list) != 0 {
				t.Errorf("the second order shows its answer too: %+v, %v", list, err)
			}
		})
		h.finish(r, h.open(r, h.wantBy(p, "first", "shop.example")).ID) // fails: nobody listens for handshakes here
		if !looked {
			t.Fatal("the first order never told the CA to look")
		}
		h.hurry(second.ID)
		h.finish(other, second.ID)
		if list, err := db.ChallengesOf(t.Context(), second.ID); err != nil || len(list) != 1 || list[0].AnsweredAt.IsZero() {
			t.Errorf("after the first the second order had no turn: %+v, %v", list, err)
		}
	})
}

// hurry makes an order due now.
func (h *house) hurry(id int64) {
	h.Helper()
	o := h.order(id)
	o.DueAt = time.Now().Add(-time.Second)
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, o) })
}
