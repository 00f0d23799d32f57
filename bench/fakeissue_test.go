package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// BenchmarkFakeIssue issues b.N certificates of one name each from the fake CA:
// by the manager on both stores (order, ledger, sealed key, every commit durable)
// and by a bare loop over acmez that keeps nothing.
func BenchmarkFakeIssue(b *testing.B) {
	b.Run("acmez", bareFake)
	b.Run("sqlite", func(b *testing.B) { withLedger(b, "") })
	b.Run("sqlite/no-ledger", func(b *testing.B) { benchmarkEngine(b, "", 1, river) })
	b.Run("postgres", func(b *testing.B) { withLedger(b, config.Database(storetest.PostgresURL(b))) })
}

// withLedger counts every order against limits that are never reached.
func withLedger(b *testing.B, database config.Database) {
	ca := fake(b)
	a := nodeAt(b, database, sealing(b))
	// Before anything asks for the limits: they are believed for a while.
	err := a.DB.Tx(b.Context(), time.Now(), func(tx *store.Tx) error {
		for _, name := range []plan.LimitName{plan.NewOrders, plan.PerDomain, plan.PerSet, plan.FailedValidations} {
			if err := tx.SetOverride(b.Context(), store.LimitOverride{Authority: "fake", Name: string(name), N: 1e6, Period: 720 * time.Hour}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	policy := settle(b, a, ca)
	add(b, a, policy, b.N)
	began := cpu()
	b.ResetTimer()
	issueAll(b, []*app.App{a}, river)
	report(b, began)
	b.StopTimer()
	if n, err := a.DB.BucketsOf(b.Context(), string(plan.NewOrders), 10); err != nil || len(n) == 0 {
		b.Fatalf("the ledger counted nothing: %v", err)
	}
}

func bareFake(b *testing.B) {
	ca := fake(b)
	client := &acmez.Client{Client: &acme.Client{Directory: ca.DirectoryURL(), HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, PollInterval: 5 * time.Millisecond},
		ChallengeSolvers: map[string]acmez.Solver{"http-01": nothing{}}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	account, err := client.NewAccount(b.Context(), acme.Account{TermsOfServiceAgreed: true, PrivateKey: key})
	if err != nil {
		b.Fatal(err)
	}
	began := cpu()
	b.ResetTimer()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := client.ObtainCertificateForSANs(b.Context(), account, leaf, []string{fmt.Sprintf("n%d.example.com", i)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	report(b, began)
}
