package redis

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/redis/redistest"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
	goredis "github.com/redis/go-redis/v9"
)

// newCluster is a cluster of one server, which has all slots.
func newCluster(t *testing.T) (*redistest.Server, *goredis.Client) {
	t.Helper()
	s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", redistest.FreePort(t), "--cluster-config-file", filepath.Join(t.TempDir(), "nodes.conf"))
	db := goredis.NewClient(&goredis.Options{Addr: s.Addr})
	t.Cleanup(func() { db.Close() })
	if err := db.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	trial.Until(t, "the cluster takes writes", func() (bool, string) {
		err := db.Set(t.Context(), "x", "y", 0).Err()
		return err == nil, fmt.Sprint(err)
	})
	if err := db.Del(t.Context(), "x").Err(); err != nil {
		t.Fatal(err)
	}
	return s, db
}

// between does something once, after a pipeline in which a record was read.
type between struct {
	reads int // so many pipelines from now
	then  func()
}

func (*between) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (*between) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

func (b *between) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		err := next(ctx, cmds)
		if slices.ContainsFunc(cmds, func(c goredis.Cmder) bool {
			return c.Name() == "hmget" && fmt.Sprint(c.Args()[1]) == "certfleet:cert:shop"
		}) {
			if b.reads--; b.reads == 0 {
				b.then()
			}
		}
		return err
	}
}

// TestADeliveryDuringASweepOfAClusterStays has what is left of an older version come
// again, after each look that a sweep takes at the record.
func TestADeliveryDuringASweepOfAClusterStays(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	s, db := newCluster(t)
	for layout := 1; layout <= 3; layout++ {
		for reads, passed := 1, true; passed; reads++ {
			t.Run(fmt.Sprintf("layout %d, read %d", layout, reads), func(t *testing.T) {
				target, err := New(Config{URL: "redis://" + s.Addr, Cluster: true, Layout: layout}, dial.Deps{})
				if err != nil {
					t.Fatal(err)
				}
				if err := db.FlushDB(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				sweeper, err := target.open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer sweeper.Close()
				p := place{Target: target, T: t, db: db, server: s}
				older := targettest.Bundle(t, "shop", 1, "shop.example.com", "old.example.com")
				newer := targettest.Bundle(t, "shop", 2, "shop.example.com", "new.example.com")
				p.abandoned(older, newer)
				again := older
				again.Version = 3
				hook := &between{reads: reads, then: func() { p.must(again) }}
				sweeper.AddHook(hook)
				if err := target.sweep(t.Context(), sweeper); err != nil {
					t.Fatal(err)
				}
				if passed = hook.reads <= 0; !passed {
					return
				}
				if got, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); err != nil || got != again.Fingerprint {
					t.Errorf("it holds %.12s, %v; want what came meanwhile", got, err)
				}
				left := 0
				if err := target.leftovers(t.Context(), sweeper, func(l []leftover) error { left += len(l); return nil }); err != nil || left != 0 {
					t.Errorf("%d are left, %v", left, err)
				}
			})
		}
	}
}

// TestADeliveryDuringAWriteIntoAClusterStays has an older version's names come back
// while a write takes them away: before it goes on from its claim, and after it has
// looked at the record.
func TestADeliveryDuringAWriteIntoAClusterStays(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	s, db := newCluster(t)
	for layout := 1; layout <= 3; layout++ {
		for _, reads := range []int{0, 1} {
			t.Run(fmt.Sprintf("layout %d, read %d", layout, reads), func(t *testing.T) {
				target, err := New(Config{URL: "redis://" + s.Addr, Cluster: true, Layout: layout}, dial.Deps{})
				if err != nil {
					t.Fatal(err)
				}
				if err := db.FlushDB(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				p := place{Target: target, T: t, db: db, server: s}
				older := targettest.Bundle(t, "shop", 1, "shop.example.com", "old.example.com")
				newer := targettest.Bundle(t, "shop", 2, "shop.example.com", "new.example.com")
				again := older
				again.Version = 3
				p.must(older)
				jobs := p.begun(newer)
				writer, err := target.open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer writer.Close()
				hook := &between{reads: reads, then: func() { p.must(again) }}
				if reads == 0 {
					hook.then()
				}
				writer.AddHook(hook)
				target.finish(t.Context(), writer, jobs)
				if hook.reads > 0 {
					t.Fatal("the record was never looked at")
				}
				if got, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); err != nil || got != again.Fingerprint {
					t.Errorf("it holds %.12s, %v; want what came meanwhile", got, err)
				}
			})
		}
	}
}
