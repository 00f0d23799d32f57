package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestOneKeyIsSharedUnderOneName(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		other := certfleet.Key{Use: "certificate", Type: certfleet.P256, SPKI: "bb00", Origin: "generated", Sealed: []byte("sealed")}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddKey(ctx, &other) })
		if _, err := db.SharedKey(t.Context(), 0, "global"); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("before any was shared: %v", err)
		}
		for _, c := range []struct {
			key, before int64
			stale       bool
			want        int64
		}{
			{f.key.ID, 0, false, f.key.ID},
			{other.ID, 0, true, f.key.ID},         // somebody was faster
			{other.ID, f.key.ID, false, other.ID}, // in its place
			{f.key.ID, f.key.ID, true, other.ID},  // not what it was thought to be
			{f.key.ID, other.ID, false, f.key.ID}, // and back
		} {
			err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ShareKey(ctx, 0, "global", c.key, c.before) })
			if errors.Is(err, store.ErrStale) != c.stale || (err != nil) != c.stale {
				t.Errorf("share %d in place of %d: %v", c.key, c.before, err)
			}
			if k, err := db.SharedKey(t.Context(), 0, "global"); err != nil || k.ID != c.want {
				t.Errorf("shared is %+v, %v; want %d", k, err, c.want)
			}
		}
		f.version.KeyID = other.ID
		revoked := func(want bool) {
			t.Helper()
			if got, err := db.KeyRevoked(t.Context(), other.ID); err != nil || got != want {
				t.Errorf("revoked %v, %v; want %v", got, err, want)
			}
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveVersion(ctx, &f.version) })
		revoked(false)
		f.version.RevokedAt, f.version.RevokeReason = now, 4
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveVersion(ctx, &f.version) })
		revoked(false)
		f.version.RevokeReason = 1
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveVersion(ctx, &f.version) })
		revoked(true)
	})
}

func TestDefaultsOfAccountsAndPurposes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		if d, err := db.AccountDefaults(ctx, f.account.ID); err != nil || d != (certfleet.AccountDefaults{}) {
			t.Errorf("an account that says nothing says %+v, %v", d, err)
		}
		want := certfleet.AccountDefaults{KeyCycle: certfleet.KeyGlobalDaily, KeyType: certfleet.RSA2048, Profile: "shortlived"}
		for range 2 {
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetAccountDefaults(ctx, f.account.ID, want) })
			if d, err := db.AccountDefaults(ctx, f.account.ID); err != nil || d != want {
				t.Errorf("defaults %+v, %v; want %+v", d, err, want)
			}
			want.Profile = "classic"
		}
		set := func(policy int64) {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SetDefaultPolicy(ctx, 0, certfleet.PurposeAutocert, policy)
			})
		}
		set(f.policy.ID)
		if p, err := db.DefaultPolicy(ctx, 0, certfleet.PurposeAutocert); err != nil || p.ID != f.policy.ID {
			t.Errorf("the policy for autocert is %+v, %v", p, err)
		}
		if _, err := db.DefaultPolicy(ctx, 0, certfleet.PurposeGlobal); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("a purpose without a policy: %v", err)
		}
		set(0)
		if _, err := db.DefaultPolicy(ctx, 0, certfleet.PurposeAutocert); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("a purpose whose policy was taken away: %v", err)
		}
	})
}

// fillPolicies puts a row into every table that policies stand on.
func fillPolicies(t testing.TB, db *store.DB, f *fleet) {
	t.Helper()
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ShareKey(ctx, 0, "global", f.key.ID, 0); err != nil {
			return err
		}
		if err := tx.SetAccountDefaults(ctx, f.account.ID, certfleet.AccountDefaults{Profile: "shortlived"}); err != nil {
			return err
		}
		if err := tx.WantBackup(ctx, &f.cert); err != nil {
			return err
		}
		if err := tx.NewGeneration(ctx, f.version.ID); err != nil {
			return err
		}
		if err := tx.Block(ctx, &store.Blocked{Kind: "name", Pattern: "never.example"}); err != nil {
			return err
		}
		r := certfleet.Replacement{}
		if err := tx.AddReplacement(ctx, &r); err != nil {
			return err
		}
		if err := tx.AddReplacementItem(ctx, &certfleet.ReplacementItem{ReplacementID: r.ID, VersionID: f.version.ID, State: certfleet.ItemWanted}); err != nil {
			return err
		}
		if err := tx.FillBackups(ctx, f.policy.ID); err != nil {
			return err
		}
		return tx.SetDefaultPolicy(ctx, 0, certfleet.PurposeGlobal, f.policy.ID)
	})
	for _, q := range []string{
		"INSERT INTO domain_second (domain_id, challenge) SELECT id, 'dns-01' FROM domain",
		"INSERT INTO factory (tenant_id, label) VALUES (1, 'hosting')",
	} {
		if _, err := db.Raw().ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheBlocklistForbidsNamesDomainsAndSuffixes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, b := range []store.Blocked{{Kind: "name", Pattern: "one.example.com"}, {Kind: "domain", Pattern: "never.example"}, {Kind: "suffix", Pattern: "corp.example.org"}} {
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Block(ctx, &b) })
		}
		forbidden := func(n string) bool {
			t.Helper()
			_, err := db.BlockedBy(t.Context(), 0, name(t, n))
			if err != nil && certfleet.KindOf(err) != certfleet.NotFound {
				t.Fatal(err)
			}
			return err == nil
		}
		for n, want := range map[string]bool{
			"one.example.com": true, "*.one.example.com": true, "a.one.example.com": false, "example.com": false,
			"never.example": true, "www.never.example": true, "whenever.example": false,
			"corp.example.org": true, "a.b.corp.example.org": true, "acorp.example.org": false, "192.0.2.1": false,
		} {
			if got := forbidden(n); got != want {
				t.Errorf("%s is forbidden: %v; want %v", n, got, want)
			}
		}
		if list, err := db.Blocklist(t.Context(), 0); err != nil || len(list) != 3 {
			t.Errorf("blocklist %+v, %v", list, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.Unblock(ctx, store.Blocked{Kind: "domain", Pattern: "never.example"})
		})
		if forbidden("never.example") {
			t.Error("it is forbidden after it was taken off")
		}
	})
}
