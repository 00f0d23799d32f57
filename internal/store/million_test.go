package store_test

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// million fills the store with a million certificates, a version and a delivery each.
func million(b *testing.B, db *store.DB) {
	b.Helper()
	newFleet(b, db)
	series := "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 1000000) "
	for _, q := range []string{
		"INSERT INTO certificate (id, tenant_id, label, names, set_key, policy_id, state, due_at, version_id, not_after, created_at) " + series +
			"SELECT 100+i, 1, 'c' || i, '[]', 'k' || i, 1, 'active', 1773500966535 + i * CAST(4000 AS BIGINT), i, 1778684966535 + i * CAST(4000 AS BIGINT), 1 FROM s",
		"INSERT INTO version (id, tenant_id, certificate_id, origin, names, serial, fingerprint, spki, issuer, not_before, not_after, chain_pem, created_at) " + series +
			"SELECT 100+i, 1, 100+i, 'issued', '[]', 's' || i, 'f' || i, 'p' || i, 'CN=R11', 1, 1778684966535, CAST('' AS BLOB), 1 FROM s",
		"INSERT INTO delivery (tenant_id, version_id, target_id, certificate_id, state, created_at) " + series + "SELECT 1, 100+i, 1, 100+i, 'served', 1 FROM s",
		"INSERT INTO label (kind, object_id, k, v) " + series + "SELECT 'certificate', 100+i, 'team', 't' || (i % 2) FROM s",
	} {
		if db.Postgres() {
			q = strings.ReplaceAll("SET session_replication_role = replica; "+q, "BLOB", "BYTEA")
		} else if _, err := db.Raw().Exec("PRAGMA synchronous = OFF"); err != nil {
			b.Fatal(err)
		}
		if _, err := db.Raw().Exec(q); err != nil {
			b.Fatal(err)
		}
	}
	if db.Postgres() {
		if _, err := db.Raw().Exec("VACUUM ANALYZE"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMillion(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) {
			db := open(b)
			million(b, db)
			ctx := b.Context()
			list := func(f store.CertificateFilter) func() error {
				return func() error { return last(db.Certificates(ctx, f)) }
			}
			for _, c := range []struct {
				what string
				ask  func() error
			}{
				{"gauges", func() error { return second(db.Q.Gauges(ctx, now)) }},
				{"next-due", func() error { return second(db.NextDue(ctx)) }},
				{"due", func() error { return second(db.DueCertificates(ctx, now, 500)) }},
				{"page", list(store.CertificateFilter{After: store.Cursor{ID: 500000}})},
				{"page-label", list(store.CertificateFilter{After: store.Cursor{ID: 500000}, Labels: certfleet.Labels{"team": "t1"}})},
				{"page-due", list(store.CertificateFilter{DueBefore: now.AddDate(1, 0, 0)})},
				{"page-policy", list(store.CertificateFilter{Policy: "default"})},
				{"search", func() error { return second(db.Search(ctx, 0, "f777777", 100)) }},
			} {
				b.Run(c.what, func(b *testing.B) {
					for b.Loop() {
						if err := c.ask(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
