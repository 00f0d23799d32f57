// Package bench measures the whole beside the bare operation, in one run.
package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// workers is below where Pebble stalls.
const workers = 8

func startCA(b *testing.B) *pebble.CA {
	b.Helper()
	ca, err := pebble.Start(pebble.Options{AlwaysValid: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ca.Close() })
	return ca
}

// cpu is what this process has used, user and system.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// report says certificates per second and CPU per certificate, the CA's own
// share included: CA and client are one process.
func report(b *testing.B, began time.Duration) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N)/1000, "cpu-ms/cert")
}

// BenchmarkIssue issues b.N certificates of one name each: by the manager (order,
// sealed key, every commit durable) and by a bare loop over acmez that keeps
// nothing.
func BenchmarkIssue(b *testing.B) {
	b.Run("acmez", benchmarkACMEZ)
	b.Run("certfleet", benchmarkManager)
}

func benchmarkACMEZ(b *testing.B) {
	ca := startCA(b)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.TrustPEM)
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16}}
	client := &acmez.Client{Client: &acme.Client{Directory: ca.DirectoryURL, HTTPClient: hc, PollInterval: 20 * time.Millisecond},
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
	for range workers {
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

type nothing struct{}

func (nothing) Present(context.Context, acme.Challenge) error { return nil }
func (nothing) CleanUp(context.Context, acme.Challenge) error { return nil }

func benchmarkManager(b *testing.B) {
	ca := startCA(b)
	a := newNode(b, ca)
	policy := setUp(b, a, ca)
	add(b, a, policy, b.N)
	began := cpu()
	b.ResetTimer()
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for {
		orders, err := a.DB.Issued(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if orders >= int64(b.N) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	report(b, began)
	b.StopTimer()
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

func newNode(b *testing.B, _ *pebble.CA) *app.App {
	b.Helper()
	c := config.Default()
	c.StateDir = b.TempDir()
	c.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	key, err := keeper.Generate()
	if err != nil {
		b.Fatal(err)
	}
	a, err := app.New(b.Context(), c, app.Options{Keeper: key})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	return a
}

func setUp(b *testing.B, a *app.App, ca *pebble.CA) (policy int64) {
	b.Helper()
	err := a.DB.Tx(b.Context(), time.Now(), func(tx *store.Tx) error {
		auth := &certfleet.Authority{Label: "pebble", DirectoryURL: ca.DirectoryURL, TrustPEM: string(ca.TrustPEM)}
		if err := tx.AddAuthority(b.Context(), auth); err != nil {
			return err
		}
		if err := tx.AddAccount(b.Context(), &certfleet.Account{AuthorityID: auth.ID, Label: "main", AgreedAt: tx.Now()}); err != nil {
			return err
		}
		p := &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}}}
		err := tx.AddPolicy(b.Context(), p)
		policy = p.ID
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Issue.Register(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	return policy
}

func add(b *testing.B, a *app.App, policy int64, n int) {
	b.Helper()
	err := a.DB.Tx(b.Context(), time.Now(), func(tx *store.Tx) error {
		for i := range n {
			name, err := certfleet.ParseName(fmt.Sprintf("n%d.example.com", i))
			if err != nil {
				return err
			}
			c := &certfleet.Certificate{Tenant: 1, Label: name.String(), Names: []certfleet.Name{name}, PolicyID: policy, DueAt: tx.Now(), Lane: certfleet.LaneNew}
			if err := tx.AddCertificate(b.Context(), c, "bench"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
