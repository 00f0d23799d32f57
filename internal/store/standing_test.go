package store_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestAnOrderStandsOnWhatItsPartsSay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		same := func(what string, want store.Standing) {
			t.Helper()
			got, err := db.StandingOf(ctx, f.cert.ID, f.account.ID)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if want.Certificate.Policy = want.Policy.Label; !reflect.DeepEqual(*got, want) {
				t.Errorf("%s: an order stands on\n%+v, want\n%+v", what, *got, want)
			}
		}
		parts := func() (s store.Standing) {
			t.Helper()
			c, err := db.CertificateAlone(ctx, f.cert.ID)
			if err != nil || c.Label != f.cert.Label || c.Targets != nil {
				t.Fatalf("the certificate alone is %+v, %v", c, err)
			}
			p, err := db.Policy(ctx, c.PolicyID)
			if err != nil {
				t.Fatal(err)
			}
			a, err := db.Account(ctx, f.account.ID)
			if err != nil {
				t.Fatal(err)
			}
			return store.Standing{Certificate: *c, Policy: *p, Account: *a}
		}
		same("without a key", parts())
		f.account.KeyID = f.key.ID
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveAccount(ctx, &f.account) })
		want := parts()
		var err error
		if want.Key, err = db.Key(ctx, f.key.ID); err != nil {
			t.Fatal(err)
		}
		same("with a key", want)
		want.Defaults = certfleet.AccountDefaults{KeyCycle: certfleet.KeyGlobalDaily, KeyType: certfleet.RSA2048, Profile: "shortlived"}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetAccountDefaults(ctx, f.account.ID, want.Defaults)
		})
		same("with defaults", want)
		if _, err := db.StandingOf(ctx, 777, f.account.ID); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("without a certificate: %v", err)
		}
	})
}

// TestExchangesOfOneCommitAreCountedTogether writes more of them than one
// statement takes, several of a kind.
func TestExchangesOfOneCommitAreCountedTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		var list []certfleet.Exchange
		for i := range 120 {
			list = append(list, certfleet.Exchange{OrderID: f.order.ID, AccountID: f.account.ID, AuthorityID: f.authority.ID, At: now.Add(time.Duration(i) * time.Millisecond),
				Kind: []string{"order", "authz", "cert"}[i%3], Method: "POST", URL: "https://ca.example/x", Status: 200, Took: time.Duration(i) * time.Microsecond})
		}
		for range 2 {
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddExchanges(ctx, list) })
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddExchanges(ctx, nil) })
		got, err := db.ExchangesOf(t.Context(), f.order.ID, 500)
		if err != nil || len(got) != 240 {
			t.Fatalf("%d exchanges are kept, %v; want 240", len(got), err)
		}
		for i := range list {
			if got[i].ID = 0; !reflect.DeepEqual(got[i], list[i]) {
				t.Fatalf("exchange %d is kept as\n%+v, want\n%+v", i, got[i], list[i])
			}
		}
		counts, err := db.ExchangeCounts(t.Context(), now)
		if err != nil || len(counts) != 3 {
			t.Fatalf("counts %+v, %v", counts, err)
		}
		for _, c := range counts {
			if c.N != 80 {
				t.Errorf("%s is counted %d times, want 80", c.Kind, c.N)
			}
		}
	})
}
