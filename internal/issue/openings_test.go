package issue_test

import (
	"context"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestEachUseOfACertificatesKeyIsOnRecord(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	o := h.issue(r, h.want("used.example"))
	if got := h.openings(o.KeyID); got["request"] != 1 || len(got) != 1 {
		t.Errorf("after its request was signed the key's openings are %v", got)
	}
	h.acct, _ = h.db.Account(t.Context(), h.acct.ID)
	h.acct.State = certfleet.AccountDeactivated // so that the key itself has to sign
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveAccount(ctx, h.acct) })
	if err := r.Revoke(t.Context(), o.VersionID, 4); err != nil {
		t.Fatal(err)
	}
	if got := h.openings(o.KeyID); got["request"] != 1 || got["revocation"] != 1 {
		t.Errorf("after it signed a revocation the key's openings are %v", got)
	}
}

func (h *house) openings(key int64) map[string]int64 {
	h.Helper()
	list, err := h.db.KeyOpenings(h.Context(), key, 100)
	if err != nil {
		h.Fatal(err)
	}
	out := map[string]int64{}
	for _, o := range list {
		out[o.Reason] += o.N
	}
	return out
}
