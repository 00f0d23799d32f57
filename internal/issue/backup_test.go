package issue_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// second gives the house another authority: the same test CA under another name,
// which is all that this side can tell.
func (h *house) second(label string) *certfleet.Authority {
	h.Helper()
	a := &certfleet.Authority{Label: label, DirectoryURL: h.ca.DirectoryURL, TrustPEM: string(h.ca.TrustPEM)}
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddAuthority(ctx, a); err != nil {
			return err
		}
		return tx.AddAccount(ctx, &certfleet.Account{AuthorityID: a.ID, Label: label, AgreedAt: time.Now()})
	})
	return a
}

func (h *house) backup(id int64) *certfleet.Backup {
	h.Helper()
	b, err := h.db.BackupOf(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return b
}

func (h *house) slots(name string) map[certfleet.SlotKind]int64 {
	h.Helper()
	n, _ := certfleet.ParseName(name)
	list, err := h.db.SlotsOf(h.Context(), 0, n)
	if err != nil {
		h.Fatal(err)
	}
	out := map[certfleet.SlotKind]int64{}
	for _, s := range list {
		out[s.Kind] = s.VersionID
	}
	return out
}

// TestABackupIsKeptWarmAndServedOnlyWhenFlipped follows a certificate with a
// backup through issuance, a flip, renewals of both while flipped, and back.
func TestABackupIsKeptWarmAndServedOnlyWhenFlipped(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	other := h.second("other")
	p := h.policyLike("two", func(s *certfleet.PolicySpec) {
		s.Backup = &certfleet.BackupSpec{Authority: "other", KeyType: certfleet.RSA2048}
	})
	c := h.wantBy(p, "shop.example.com")
	primary := h.issue(r, c)
	openBackup := func() *certfleet.Order {
		t.Helper()
		ids, err := r.DueBackups(t.Context(), time.Now(), 10)
		if err != nil || len(ids) != 1 || ids[0] != c.ID {
			t.Fatalf("due backups %v, %v", ids, err)
		}
		if err := r.OpenBackup(t.Context(), c.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		o, err := h.db.LiveOrder(t.Context(), c.ID, certfleet.SlotBackup)
		if err != nil {
			t.Fatalf("no order: %+v, %v", h.backup(c.ID), err)
		}
		return h.finish(r, o.ID)
	}
	backup := openBackup()
	if backup.State != certfleet.OrderIssued || backup.AuthorityID != other.ID || backup.KeyID == primary.KeyID {
		t.Fatalf("backup order %+v", backup)
	}
	if v, leaf := h.version(backup.VersionID); v.CertificateID != c.ID || leaf.PublicKeyAlgorithm.String() != "RSA" {
		t.Errorf("the backup's key is %s, of certificate %d", leaf.PublicKeyAlgorithm, v.CertificateID)
	}
	expect := func(what string, ecdsa, warm int64) {
		t.Helper()
		if s := h.slots("shop.example.com"); s[certfleet.SlotECDSA] != ecdsa || s[certfleet.SlotBackup] != warm || len(s) != 2 {
			t.Errorf("%s: slots %v; want ecdsa %d, backup %d", what, s, ecdsa, warm)
		}
	}
	if got := h.certificate(c.ID); got.VersionID != primary.VersionID || got.DueAt.IsZero() || h.backup(c.ID).DueAt.IsZero() {
		t.Errorf("after the backup the certificate is %+v", got)
	}
	expect("not flipped", primary.VersionID, backup.VersionID)

	in := intake.Room{DB: h.db}
	flip := func(back bool) {
		t.Helper()
		if res, err := in.Flip(t.Context(), c.ID, back); err != nil || !res.Changed {
			t.Fatalf("flip, back %v: %+v, %v", back, res, err)
		}
	}
	flip(false)
	expect("flipped", backup.VersionID, backup.VersionID)
	renewed := h.issue(r, h.again(c.ID))
	expect("flipped, and the primary renewed", backup.VersionID, backup.VersionID)
	b := h.backup(c.ID)
	b.DueAt = time.Now().Add(-time.Second)
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveBackup(ctx, b) })
	warmer := openBackup()
	expect("flipped, and the backup renewed", warmer.VersionID, warmer.VersionID)
	flip(true)
	expect("flipped back", renewed.VersionID, warmer.VersionID)
	if got := h.events(c.ID); strings.Count(got, "backup.flipped") != 2 || !strings.Contains(got, "backup.flipped_back") {
		t.Errorf("events %s", got)
	}
	if g, err := h.db.Generation(t.Context(), renewed.VersionID); err != nil || g <= warmer.VersionID {
		t.Errorf("the primary goes to targets as generation %d, %v; want one behind %d", g, err, warmer.VersionID)
	}
}

func TestTroubleWithTheBackupLeavesThePrimaryAlone(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	h.second("other")
	p := h.policyLike("two", func(s *certfleet.PolicySpec) { s.Backup = &certfleet.BackupSpec{Authority: "other"} })
	c := h.wantBy(p, "shop.example.com")
	h.issue(r, c)
	before := h.certificate(c.ID)
	h.wire.breakBy(func(w http.ResponseWriter, req *http.Request, body string) bool {
		return req.URL.Path == "/order-plz" && refuse(w, 403, "rejectedIdentifier", "not for you", "")
	})
	if err := r.OpenBackup(t.Context(), c.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	o, err := h.db.LiveOrder(t.Context(), c.ID, certfleet.SlotBackup)
	if err != nil {
		t.Fatal(err)
	}
	if o = h.finish(r, o.ID); o.State != certfleet.OrderFailed {
		t.Fatalf("order %+v", o)
	}
	after, b := h.certificate(c.ID), h.backup(c.ID)
	if after.Failures != 0 || after.Problem != "" || !after.DueAt.Equal(before.DueAt) {
		t.Errorf("the primary is %+v; want it as it was", after)
	}
	if b.Failures != 1 || !strings.Contains(b.Problem, "not for you") || !b.DueAt.After(time.Now()) {
		t.Errorf("the backup is %+v", b)
	}
	if _, err := (intake.Room{DB: h.db}).Flip(t.Context(), c.ID, false); certfleet.KindOf(err) != certfleet.Conflict {
		t.Errorf("flipping to a backup that is not there: %v", err)
	}
}

// TestALimitThatFreesTooLateMovesToTheSecondAuthority gives the first authority
// one order a week, which is used.
func TestALimitThatFreesTooLateMovesToTheSecondAuthority(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	other := h.second("other")
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetOverride(ctx, store.LimitOverride{Authority: "pebble", Name: "new-orders", N: 1, Period: 7 * 24 * time.Hour})
	})
	p := h.policyLike("two", func(s *certfleet.PolicySpec) { s.Authorities = []string{"pebble", "other"} })
	if o := h.open(r, h.wantBy(p, "a.example.com")); o.AuthorityID != h.auth.ID {
		t.Errorf("the first order goes to authority %d", o.AuthorityID)
	}
	if o := h.open(r, h.wantBy(p, "b.example.com")); o.AuthorityID != other.ID {
		t.Errorf("the second order goes to authority %d; want %d", o.AuthorityID, other.ID)
	}
	alone := h.want("c.example.com")
	if err := r.Open(t.Context(), alone.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if c := h.certificate(alone.ID); !strings.Contains(c.DueReason, "new-orders") || !c.DueAt.After(time.Now().Add(time.Hour)) {
		t.Errorf("with one authority it waits until %s: %s", c.DueAt, c.DueReason)
	}
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.Block(ctx, &store.Blocked{Kind: "name", Pattern: "d.example.com"})
	})
	never := h.wantBy(p, "d.example.com")
	if err := r.Open(t.Context(), never.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if c := h.certificate(never.ID); !strings.Contains(c.Problem, "blocklist") {
		t.Errorf("a name on the blocklist: %+v", c)
	}
}
