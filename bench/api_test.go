package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/store"
)

// rows is how many certificates the API is asked about.
const rows = 100_000

// BenchmarkAPI asks the whole API, in process, about one of 100,000
// certificates, and reports the 99th percentile beside the mean.
func BenchmarkAPI(b *testing.B) {
	a := fleetOf(b, rows)
	h := a.Offline("user:bench")
	for _, c := range []struct {
		name string
		url  func(i int) string
	}{
		{"list first page", func(int) string { return "/v1/certificates?limit=50" }},
		{"list expiring", func(int) string { return "/v1/certificates?limit=50&expires_within=720h" }},
		{"list by label", func(i int) string { return "/v1/certificates?limit=50&label=tenant%3Dt" + strconv.Itoa(i%100) }},
		{"show", func(i int) string { return "/v1/certificates/" + name(i*7919%rows) }},
		{"why", func(i int) string { return "/v1/why/" + name(i*7919%rows) }},
		{"search part", func(i int) string { return "/v1/search?limit=50&q=shop" + strconv.Itoa(i*7919%rows) }},
		{"search serial", func(i int) string { return "/v1/search?q=" + serial(i*7919%rows) }},
	} {
		b.Run(c.name, func(b *testing.B) { ask(b, h, c.url) })
	}
}

func ask(b *testing.B, h http.RoundTripper, url func(int) string) {
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://api"+url(i), nil)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		w, err := h.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(w.Body)
		took = append(took, time.Since(began))
		if err != nil || w.StatusCode != http.StatusOK {
			b.Fatalf("%s: %d %s: %v", r.URL, w.StatusCode, body, err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func name(i int) string   { return fmt.Sprintf("shop%d.example.com", i) }
func serial(i int) string { return fmt.Sprintf("%032x", i+1) }

// fleetOf is a node whose store holds n certificates with a version each.
func fleetOf(b *testing.B, n int) *app.App {
	b.Helper()
	c := config.Default()
	c.StateDir = b.TempDir()
	c.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	fill(b, string(c.DefaultDatabase()), n)
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

func fill(b *testing.B, file string, n int) {
	b.Helper()
	db, err := store.Open(b.Context(), file, store.Options{Fast: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	now := time.Now()
	write := func(fn func(context.Context, *store.Tx) error) {
		if err := db.Tx(b.Context(), now, func(tx *store.Tx) error { return fn(b.Context(), tx) }); err != nil {
			b.Fatal(err)
		}
	}
	p := &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"ca"}}}
	write(func(ctx context.Context, tx *store.Tx) error { return tx.AddPolicy(ctx, p) })
	for at := 0; at < n; at += 2000 {
		write(func(ctx context.Context, tx *store.Tx) error {
			for i := at; i < min(at+2000, n); i++ {
				if err := addIssued(ctx, tx, p.ID, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func addIssued(ctx context.Context, tx *store.Tx, policy int64, i int) error {
	n, err := certfleet.ParseName(name(i))
	if err != nil {
		return err
	}
	end := tx.Now().Add(time.Duration(10+i%80) * 24 * time.Hour)
	c := &certfleet.Certificate{Tenant: 1, Label: name(i), Names: []certfleet.Name{n}, PolicyID: policy, Labels: certfleet.Labels{"tenant": "t" + strconv.Itoa(i%100)}}
	if err := tx.AddCertificate(ctx, c, "bench"); err != nil {
		return err
	}
	v := &certfleet.Version{Tenant: 1, CertificateID: c.ID, Origin: "issued", Names: c.Names, Serial: serial(i), Fingerprint: fmt.Sprintf("%064x", i+1), SPKI: fmt.Sprintf("%064x", i+1),
		Issuer: "CA " + strconv.Itoa(i%3), NotBefore: tx.Now(), NotAfter: end, ChainPEM: []byte("chain")}
	if err := tx.AddVersion(ctx, v, nil); err != nil {
		return err
	}
	c.VersionID, c.NotAfter, c.DueAt, c.DueReason = v.ID, end, end.Add(-30*24*time.Hour), "a third of its life is left then"
	if err := tx.SaveCertificate(ctx, c); err != nil {
		return err
	}
	return tx.FillSlot(ctx, certfleet.Slot{Tenant: 1, Name: n, Kind: certfleet.SlotECDSA, VersionID: v.ID})
}
