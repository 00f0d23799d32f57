package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestAFleetWithNothingDueIsQuiet lets a node idle over certificates that are
// due in a month: it looks once a second and writes nothing.
func TestAFleetWithNothingDueIsQuiet(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	c := config.Default()
	c.StateDir = t.TempDir()
	c.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	key, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), c, app.Options{Keeper: key, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	fillFar(t, a.DB, 2000)
	ctx, stop := context.WithTimeout(t.Context(), trial.Patience)
	defer stop()
	var mu sync.Mutex
	rounds, thrice := map[string]int{}, 0 // guarded by mu
	for i, k := range a.Work.Kinds {
		a.Work.Kinds[i].Due = func(ctx context.Context, now time.Time, limit int) ([]int64, error) {
			mu.Lock()
			defer mu.Unlock()
			if rounds[k.Name]++; rounds[k.Name] == 3 {
				if thrice++; thrice == len(a.Work.Kinds) {
					stop()
				}
			}
			return k.Due(ctx, now, limit)
		}
		a.Work.Kinds[i].Lanes = nil // asked instead of Due where there is one
		a.Work.Kinds[i].Do = func(context.Context, int64) error {
			t.Errorf("%s found something to do", k.Name)
			return nil
		}
	}
	before, began := written(t, c.StateDir), time.Now()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	for kind, n := range rounds {
		if n > int(took/time.Second)+2 {
			t.Errorf("%s were looked for %d times in %s", kind, n, took)
		}
	}
	if thrice != len(a.Work.Kinds) {
		t.Errorf("not all were looked for three times in %s: %v", took, rounds)
	}
	if after := written(t, c.StateDir); after != before {
		t.Errorf("the database was written: %s, before %s", after, before)
	}
}

// fillFar stores certificates that are due in a month, and says that retention
// was just enforced.
func fillFar(t *testing.T, db *store.DB, n int) {
	t.Helper()
	ctx := t.Context()
	err := db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		p := &certfleet.Policy{Label: "default"}
		if err := tx.AddPolicy(ctx, p); err != nil {
			return err
		}
		for i := range n {
			names, err := certfleet.ParseNames([]string{fmt.Sprintf("far%d.example", i)})
			if err != nil {
				return err
			}
			if err := tx.AddCertificate(ctx, &certfleet.Certificate{Label: names[0].String(), Names: names, PolicyID: p.ID, DueAt: tx.Now().Add(30 * yearDay)}, "operator"); err != nil {
				return err
			}
		}
		return tx.SetSetting(ctx, "aged_at", tx.Now().UTC().Format(time.RFC3339))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// written tells apart a database from one that was written to.
func written(t *testing.T, dir string) (s string) {
	t.Helper()
	for _, name := range []string{"certfleet.db", "certfleet.db-wal"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s += fmt.Sprintf("%s %d bytes at %s; ", name, info.Size(), info.ModTime().Format(time.StampNano))
	}
	return s
}
