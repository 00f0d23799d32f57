package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/store"
)

// large is how many certificates a large fleet has; CERTFLEET_BENCH_ROWS makes
// it smaller for a quick look.
func large(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv("CERTFLEET_BENCH_ROWS"))
	if err != nil {
		return 1_000_000
	}
	return n
}

// What the rows of a large fleet look like: the i-th has id 100+i, and serial and
// fingerprint that end in 1000000+i. All share one key and one chain.
const (
	largeSerial = "feed00000000000000000000"
	largePrint  = "feed00000000000000000000000000000000000000000000000000000"
)

func largeName(i int) string { return fmt.Sprintf("shop%d.net", i) }

// fillFleet gives a node a fleet of n certificates as they are after a first
// year: domain, version, slot, order, delivery, label and event each, all of
// them fresh, their first renewal and their first question to the CA due in an hour.
func fillFleet(b *testing.B, a *app.App, database string, n int) {
	b.Helper()
	key, chain := pair(b, a)
	began := time.Now()
	err := a.DB.Tx(b.Context(), began, func(tx *store.Tx) error { return foundation(b.Context(), tx, key) })
	if err != nil {
		b.Fatal(err)
	}
	x := raw(b, a, database)
	now := time.Now().UnixMilli()
	for _, q := range largeRows(a.DB.Postgres(), n, now, fmt.Sprintf("%x", chain)) {
		if _, err := x.ExecContext(b.Context(), q); err != nil {
			b.Fatalf("%.120s: %v", q, err)
		}
	}
	b.Logf("filled in %v", time.Since(began).Round(time.Second))
}

// raw is a connection that writes fast and checks nothing.
func raw(b *testing.B, a *app.App, database string) *sql.DB {
	b.Helper()
	driver := "sqlite"
	if a.DB.Postgres() {
		driver = "pgx"
	} else {
		database = "file:" + filepath.Join(a.Config.StateDir, "certfleet.db") + "?_pragma=synchronous(OFF)&_pragma=cache_size(-200000)"
	}
	x, err := sql.Open(driver, database)
	if err != nil {
		b.Fatal(err)
	}
	x.SetMaxOpenConns(1)
	b.Cleanup(func() { x.Close() })
	return x
}

// pair is a stored key and a chain of two for it.
func pair(b *testing.B, a *app.App) (*certfleet.Key, []byte) {
	b.Helper()
	key, err := a.Keys.SealKey(b.Context(), 1, "certificate", certfleet.P256)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop.net"}, DNSNames: []string{"shop.net"}, NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, signer.Public(), signer)
	if err != nil {
		b.Fatal(err)
	}
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return key, append(one, one...)
}

// foundation is what the rows of a large fleet hang on; each gets id 1.
func foundation(ctx context.Context, tx *store.Tx, key *certfleet.Key) error {
	for _, add := range []func() error{
		func() error { return tx.AddKey(ctx, key) },
		func() error {
			return tx.AddAuthority(ctx, &certfleet.Authority{Label: "ca", DirectoryURL: "https://ca.example/directory"})
		},
		func() error { return tx.AddAccount(ctx, &certfleet.Account{AuthorityID: 1, Label: "main"}) },
		func() error {
			return tx.AddPolicy(ctx, &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"ca"}}})
		},
		func() error { return tx.AddTarget(ctx, &certfleet.StoredTarget{Label: "edge-1", Type: "files"}) },
	} {
		if err := add(); err != nil {
			return err
		}
	}
	return nil
}

// largeRows are the statements that write n rows of each kind.
func largeRows(pg bool, n int, now int64, chainHex string) []string {
	end := fmt.Sprintf("%d + i * CAST(4000 AS BIGINT)", now+30*24*time.Hour.Milliseconds())
	due := fmt.Sprintf("%d + i * CAST(4000 AS BIGINT)", now+time.Hour.Milliseconds())
	poll := fmt.Sprintf("%d + i * CAST(21 AS BIGINT)", now+time.Hour.Milliseconds())
	at := strconv.FormatInt(now, 10)
	fresh := fmt.Sprintf("%d + i", now-time.Hour.Milliseconds())
	list := []string{
		"domain (id, tenant_id, name, registered, source, created_at) SELECT 100+i, 1, 'shop' || i || '.net', 'shop' || i || '.net', 'operator', " + at,
		"name_part (part, domain_id) SELECT 'net', 100+i",
		"name_part (part, domain_id) SELECT 'shop' || i || '.net', 100+i",
		"certificate (id, tenant_id, label, names, set_key, policy_id, labels, share, state, lane, due_at, due_reason, urgent_at, version_id, not_after, created_at) SELECT 100+i, 1, 'shop' || i || '.net', " +
			`'["shop' || i || '.net"]', 'shop' || i || '.net', 1, '{"tenant":"t' || (i % 100) || '"}', 't' || (i % 100), 'active', 50, ` + due + ", 'a third of its life is left then', " + end + ", 100+i, " + end + ", " + at,
		"certificate_name (certificate_id, domain_id) SELECT 100+i, 100+i",
		"label (kind, object_id, k, v) SELECT 'certificate', 100+i, 'tenant', 't' || (i % 100)",
		"certificate_target (certificate_id, target_id) SELECT 100+i, 1",
		"orders (id, tenant_id, certificate_id, authority_id, account_id, slot, state, url, ca_status, names, key_id, version_id, created_at, finished_at) SELECT 100+i, 1, 100+i, 1, 1, 'ecdsa', 'issued', " +
			`'https://ca.example/order/' || i, 'valid', '["shop' || i || '.net"]', 1, 100+i, ` + at + ", " + at,
		"version (id, tenant_id, certificate_id, order_id, key_id, origin, names, serial, fingerprint, spki, issuer, authority_id, not_before, not_after, ari_id, ari_poll_at, chain_pem, created_at) SELECT 100+i, 1, 100+i, 100+i, 1, 'issued', " +
			`'["shop' || i || '.net"]', '` + largeSerial + "' || (1000000+i), '" + largePrint + "' || (1000000+i), 'p' || i, 'R11', 1, " + at + ", " + end + ", 'a' || i, " + poll + ", BYTES, " + at,
		"version_name (name, version_id) SELECT 'shop' || i || '.net', 100+i",
		"slot (tenant_id, name, slot, version_id, since) SELECT 1, 'shop' || i || '.net', 'ecdsa', 100+i, " + at,
		"delivery (id, tenant_id, version_id, target_id, certificate_id, state, sent_at, served_at, created_at) SELECT 100+i, 1, 100+i, 1, 100+i, 'served', " + at + ", " + at + ", " + at,
		"event (tenant_id, at, kind, certificate_id, order_id, version_id, actor, msg) SELECT 1, " + fresh + ", 'version.issued', 100+i, 100+i, 100+i, 'bench', 'issued'",
	}
	series := fmt.Sprintf(" FROM (WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i FROM s) AS s", n)
	bytes, before, after := "x'"+chainHex+"'", "PRAGMA foreign_keys = OFF", "PRAGMA wal_checkpoint(TRUNCATE)"
	if pg {
		bytes, before, after = `'\x`+chainHex+"'::bytea", "SET session_replication_role = replica", "VACUUM ANALYZE"
	}
	out := []string{before}
	for _, q := range list {
		out = append(out, "INSERT INTO "+strings.Replace(q, "BYTES", bytes, 1)+series)
	}
	return append(out, after)
}
