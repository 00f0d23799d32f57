package bench

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// round is the time until every version was asked about once.
const round = 6 * time.Hour

// cadence is how much of a round is run.
var cadence = flag.Duration("cadence", 3*time.Minute, "how much of six hours BenchmarkCadence runs")

// BenchmarkCadence runs a node for a while over a million versions, each of which
// is to be asked about at the fake CA once in six hours (RFC 9773), evenly spread. It
// says how many were asked about, at what cost for manager and CA together, and by
// how much the most belated question was late.
func BenchmarkCadence(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { atCadence(b, "") })
	b.Run("postgres", func(b *testing.B) { atCadence(b, storetest.PostgresURL(b)) })
}

func atCadence(b *testing.B, url string) {
	const issued = 200
	ca := fake(b)
	a := nodeAt(b, config.Database(url), sealing(b))
	add(b, a, settle(b, a, ca), issued)
	settled, stop := context.WithTimeout(b.Context(), 2*time.Minute)
	defer stop()
	if err := a.Work.Drain(settled, 0); err != nil {
		b.Fatal(err)
	}
	poll(b, a, issued) // so that each window is known
	if err := a.Work.Drain(settled, 0); err != nil {
		b.Fatal(err)
	}
	n, last := large(b), *cadence
	multiply(b, a, url, issued, n)
	ctx, end := context.WithCancel(b.Context())
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- river(ctx, a) }()
	catchUp(b, a)
	began, before := cpu(), ca.Stats().Requests["renewalInfo"]
	b.ResetTimer()
	latest := watchWindows(b, a, last)
	b.StopTimer()
	used, asked := cpu()-began, ca.Stats().Requests["renewalInfo"]-before
	end()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	due := int(float64(n) * float64(last) / float64(round))
	if asked < due*9/10 {
		b.Errorf("the CA was asked %d times, want about %d", asked, due)
	}
	b.ReportMetric(float64(asked)/b.Elapsed().Seconds(), "asked/s")
	b.ReportMetric(used.Seconds()/b.Elapsed().Seconds()*100, "core-%")
	b.ReportMetric(latest.Seconds(), "late-s")
	b.ReportMetric(0, "ns/op")
}

// catchUp waits until what became due while the store was filled was asked about.
func catchUp(b *testing.B, a *app.App) {
	b.Helper()
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		due, err := a.DB.DuePolls(b.Context(), time.Now(), 64)
		if err != nil {
			b.Fatal(err)
		}
		if len(due) < 64 {
			return
		}
	}
	b.Fatal("the node does not keep up")
}

// watchWindows looks every quarter of a second for the question that is due the
// longest, and answers by how much the most belated one was late.
func watchWindows(b *testing.B, a *app.App, last time.Duration) (latest time.Duration) {
	b.Helper()
	for began := time.Now(); time.Since(began) < last; time.Sleep(250 * time.Millisecond) {
		now := time.Now()
		due, err := a.DB.DuePolls(b.Context(), now, 1)
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range due {
			latest = max(latest, now.Sub(v.ARIPollAt))
		}
	}
	return latest
}

// multiply copies the certificates and versions of a node until there are n, each
// due to be asked about at a moment of its own in the next round.
func multiply(b *testing.B, a *app.App, url string, issued, n int) {
	b.Helper()
	began := time.Now()
	x := raw(b, a, url)
	series := fmt.Sprintf("(WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) SELECT i FROM s) AS s", n)
	of := func(table string) string {
		return fmt.Sprintf(" FROM %s JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS nth FROM %s) r ON r.nth = i %% %d", series, table, issued)
	}
	list := []string{
		"INSERT INTO certificate (id, tenant_id, label, names, set_key, policy_id, state, lane, due_at, due_reason, version_id, not_after, created_at) " +
			"SELECT 1000000+i, 1, 'copy' || i || '.net', '[\"copy' || i || '.net\"]', 'copy' || i || '.net', r.policy_id, 'active', 50, r.due_at, r.due_reason, 1000000+i, r.not_after, r.created_at" + of("certificate"),
		"INSERT INTO version (id, tenant_id, certificate_id, origin, names, serial, fingerprint, spki, issuer, authority_id, not_before, not_after, ari_id, ari_start, ari_end, ari_at, ari_poll_at, chain_pem, created_at) " +
			"SELECT 1000000+i, 1, 1000000+i, 'issued', '[\"copy' || i || '.net\"]', r.serial, 'f' || i, 'p' || i, r.issuer, r.authority_id, r.not_before, r.not_after, r.ari_id, r.ari_start, r.ari_end, r.ari_at, " +
			fmt.Sprintf("%d + CAST(i * %.3f AS BIGINT)", began.UnixMilli(), float64(round.Milliseconds())/float64(n)) + ", r.chain_pem, r.created_at" + of("version"),
	}
	before, after := "PRAGMA foreign_keys = OFF", "PRAGMA wal_checkpoint(TRUNCATE)"
	if a.DB.Postgres() {
		before, after = "SET session_replication_role = replica", "VACUUM ANALYZE"
	}
	for _, q := range append(append([]string{before}, list...), after) {
		if _, err := x.ExecContext(b.Context(), q); err != nil {
			b.Fatalf("%s: %v", strings.Fields(q)[:3], err)
		}
	}
	b.Logf("filled in %v", time.Since(began).Round(time.Second))
}
