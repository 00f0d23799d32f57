package bench

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/store"
)

// The environment that makes this program a node over a large store.
const (
	largeState = "CERTFLEET_BENCH_STATE"
	largeStore = "CERTFLEET_BENCH_STORE" // an address of PostgreSQL, or empty
	largeFor   = 20 * time.Second        // how long it idles
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(largeState); dir != "" {
		if err := idleOver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// BenchmarkMillion starts a node, in a process of its own, over a store with a
// million certificates of which none is due, and says how long it took until it
// had asked for due work once, its memory, and what share of a core it idles at.
func BenchmarkMillion(b *testing.B) {
	dir := b.TempDir()
	fillLarge(b, filepath.Join(dir, "certfleet.db"))
	for b.Loop() {
		runLarge(b, dir, "")
	}
	b.ReportMetric(0, "ns/op")
}

// runLarge runs a node in a process of its own and reports what it printed.
func runLarge(b *testing.B, dir, database string) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := exec.CommandContext(b.Context(), self)
	c.Env = append(os.Environ(), largeState+"="+dir, largeStore+"="+database)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		b.Fatalf("%v: %s", err, said.String())
	}
	for line := range strings.Lines(said.String()) {
		var n float64
		var unit string
		if _, err := fmt.Sscanf(line, "%f %s", &n, &unit); err == nil {
			b.ReportMetric(n, unit)
		}
	}
}

// idleOver runs a node for a while and prints what it measured.
func idleOver(dir string) error {
	began := time.Now()
	c := config.Default()
	c.StateDir = dir
	c.Database = config.Database(os.Getenv(largeStore))
	c.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	key, err := keeper.Generate()
	if err != nil {
		return err
	}
	a, err := app.New(ctx, c, app.Options{Keeper: key})
	if err != nil {
		return err
	}
	defer a.Close()
	asked := make(chan time.Duration, 1)
	last := &a.Work.Kinds[len(a.Work.Kinds)-1]
	sweeps, sweeping := 0, time.Duration(0)
	for i := range a.Work.Kinds {
		k := &a.Work.Kinds[i]
		ask := k.Due
		k.Due = func(ctx context.Context, now time.Time, limit int) ([]int64, error) {
			at := time.Now()
			defer func() { sweeping += time.Since(at) }()
			return ask(ctx, now, limit)
		}
	}
	due := last.Due
	last.Due = func(ctx context.Context, now time.Time, limit int) ([]int64, error) {
		ids, err := due(ctx, now, limit)
		sweeps++
		select {
		case asked <- time.Since(began):
		default:
		}
		return ids, err
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	fmt.Printf("%f scheduling-ms\n", float64((<-asked).Microseconds())/1000)
	time.Sleep(2 * time.Second)
	used := cpu()
	time.Sleep(largeFor)
	fmt.Printf("%f core-%%\n", float64(cpu()-used)/float64(largeFor)*100)
	stop()
	err = <-ended
	fmt.Printf("%f sweep-ms\n", float64(sweeping.Microseconds())/1000/float64(max(sweeps, 1)))
	fmt.Printf("%f RSS-MB\n", peak())
	return err
}

// peak is the most memory that this process ever had, in MB.
func peak() (mb float64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	fmt.Sscan(rest, &mb)
	return mb / 1024
}

// fillLarge writes a million certificates and versions, all of them fresh: the
// first renewal and the first question to the CA are due in an hour.
func fillLarge(b *testing.B, file string) {
	b.Helper()
	db, err := store.Open(b.Context(), file, store.Options{Fast: true})
	if err != nil {
		b.Fatal(err)
	}
	p := &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"ca"}}}
	err = db.Tx(b.Context(), time.Now(), func(tx *store.Tx) error { return tx.AddPolicy(b.Context(), p) })
	if err := errors.Join(err, db.Close()); err != nil {
		b.Fatal(err)
	}
	x, err := sql.Open("sqlite", "file:"+file+"?_pragma=synchronous(OFF)")
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	soon := time.Now().Add(time.Hour).UnixMilli()
	const series = "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 1000000) "
	for _, q := range []string{
		"INSERT INTO certificate (id, tenant_id, label, names, set_key, policy_id, state, lane, due_at, version_id, not_after, created_at) " + series +
			"SELECT 100+i, 1, 'shop' || i || '.example.com', '[\"shop' || i || '.example.com\"]', 'shop' || i || '.example.com', $1, 'active', 50, $2 + i * 4000, 100+i, $2 + 2592000000 + i * 4000, 1 FROM s",
		"INSERT INTO version (id, tenant_id, certificate_id, origin, names, serial, fingerprint, spki, issuer, not_before, not_after, ari_id, ari_poll_at, chain_pem, created_at) " + series +
			"SELECT 100+i, $1, 100+i, 'issued', '[\"shop' || i || '.example.com\"]', 's' || i, 'f' || i, 'p' || i, 'CN=R11', 1, $2 + 2592000000 + i * 4000, 'a' || i, $2 + i * 21, CAST('' AS BLOB), 1 FROM s",
	} {
		if _, err := x.ExecContext(b.Context(), q, p.ID, soon); err != nil {
			b.Fatal(err)
		}
	}
}
