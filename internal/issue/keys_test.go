package issue_test

import (
	"context"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestKeyCyclesShareAndKeepKeys takes certificates through a CA: which of them
// get the same key follows the cycle, and a key that was revoked is not used again.
func TestKeyCyclesShareAndKeepKeys(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	cycle := func(c certfleet.KeyCycle) *certfleet.Policy {
		return h.policyLike(string(c), func(s *certfleet.PolicySpec) { s.KeyCycle = c })
	}
	single, year, global := cycle(certfleet.KeySingleUse), cycle(certfleet.KeyReuseYear), cycle(certfleet.KeyGlobalDaily)
	system, account := cycle(certfleet.KeySystemDefault), cycle(certfleet.KeyAccountDefault)
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SetAccountDefaults(ctx, h.acct.ID, certfleet.AccountDefaults{KeyCycle: certfleet.KeyAccountWeekly}); err != nil {
			return err
		}
		return tx.SetDefaultPolicy(ctx, 0, certfleet.PurposeGlobal, global.ID)
	})
	key := func(c *certfleet.Certificate) int64 { return h.issue(r, c).KeyID }
	twice := func(p *certfleet.Policy, label string) (int64, int64) {
		c := h.wantBy(p, label)
		return key(c), key(h.again(c.ID))
	}
	if a, b := twice(single, "single.example.com"); a == b {
		t.Error("a single-use key was used twice")
	}
	if a, b := twice(year, "year.example.com"); a != b {
		t.Error("a key of this year was not kept")
	}
	shared, again := twice(global, "global.example.com")
	if b := key(h.wantBy(system, "system.example.com")); shared != again || shared != b {
		t.Errorf("keys %d, %d and %d; want one for all of today", shared, again, b)
	}
	weekly := key(h.wantBy(account, "account.example.com"))
	if b := key(h.wantBy(account, "account-2.example.com")); weekly != b || weekly == shared {
		t.Errorf("keys %d and %d; want one of the account's week, not the global %d", weekly, b, shared)
	}
	o := h.issue(r, h.wantBy(global, "revoked.example.com"))
	if err := r.Revoke(t.Context(), o.VersionID, issue.ReasonKeyCompromise); err != nil {
		t.Fatal(err)
	}
	if after, b := key(h.wantBy(global, "after.example.com")), key(h.wantBy(system, "after-2.example.com")); after == shared || after != b {
		t.Errorf("keys %d and %d after %d was compromised; want one new one", after, b, shared)
	}
}
