package work_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// sulky is a kind of work with one piece, row 7, which is due until it was begun
// so many times.
func sulky(times int64, do func(context.Context) error) (work.Kind, *atomic.Int64) {
	begun := &atomic.Int64{}
	return work.Kind{
		Name: "sulky",
		Due: func(context.Context, time.Time, int) ([]int64, error) {
			if begun.Load() >= times {
				return nil, nil
			}
			return []int64{7}, nil
		},
		Do: func(ctx context.Context, _ int64) error {
			begun.Add(1)
			return do(ctx)
		},
	}, begun
}

// runs lets a node work until the test ends.
func runs(t *testing.T, w *work.Work) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// told asks until the queue tells what is waited for.
func told(t *testing.T, w *work.Work, enough func(work.Queue) bool) work.Queue {
	t.Helper()
	for end := time.Now().Add(trial.Patience); ; time.Sleep(20 * time.Millisecond) {
		q, err := w.Queue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if enough(q) {
			return q
		}
		if time.Now().After(end) {
			t.Fatalf("the queue tells %+v", q)
		}
	}
}

func here() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

func TestWhatGoesWrongBeforeItsRowSaysSoIsTold(t *testing.T) {
	for what, c := range map[string]struct {
		do   func(context.Context) error
		want string
	}{
		"an error": {func(context.Context) error {
			return errors.New("ask https://alice:sesame@ca.test/dir?key=sesame:\n no answer " + strings.Repeat("x", 1000))
		}, "ask https://ca.test/dir no answer xxx"},
		"a panic with what was at hand": {func(context.Context) error { panic("sesame") }, "a value of type string"},
		"a panic of the runtime":        {func(ctx context.Context) error { _ = make([]int, -len(fmt.Sprint(ctx))); return nil }, "len out of range"},
	} {
		t.Run(what, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				k, _ := sulky(100, c.do)
				w := &work.Work{DB: db, Kinds: []work.Kind{k}, Owner: work.OwnerName(), Log: slog.New(slog.DiscardHandler)}
				runs(t, w)
				got := told(t, w, func(q work.Queue) bool { return len(q.Trouble) > 0 && !q.Trouble[0].NextAt.IsZero() }).Trouble
				one := got[0]
				if len(got) != 1 || one.Kind != "sulky" || one.ID != 7 || one.Tries < 1 || one.Node != here() || time.Since(one.At) > trial.Patience {
					t.Errorf("told is %+v", got)
				}
				if strings.Contains(one.Problem, "sesame") || !strings.Contains(one.Problem, c.want) || len(one.Problem) > 500 {
					t.Errorf("it says %q, want %q", one.Problem, c.want)
				}
			})
		})
	}
}

func TestWhatIsGivenUpIsToldForAWhile(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		k, begun := sulky(8, func(context.Context) error { return errors.New("no database") })
		w := &work.Work{DB: db, Kinds: []work.Kind{k}, Owner: work.OwnerName(), Log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(5 * time.Minute)
		q, err := w.Queue(ctx)
		if err != nil || len(q.Trouble) != 1 || q.Trouble[0].Tries != 8 || !q.Trouble[0].NextAt.IsZero() || q.Trouble[0].Problem != "no database" {
			t.Errorf("after %d tries it is told %+v, %v", begun.Load(), q, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestEachNodeTellsWhatAllWorkOn(t *testing.T) {
	db := storetest.Postgres(t)
	k, _ := sulky(1, func(ctx context.Context) error {
		for ctx.Err() == nil && !work.Stopping(ctx) {
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	})
	nodes := map[string]*work.Work{}
	for _, name := range []string{"web1/11", "web2/22"} {
		nodes[name] = &work.Work{DB: db, Kinds: []work.Kind{k}, Owner: name + "/1/0a1b.2", Log: slog.New(slog.DiscardHandler)}
		runs(t, nodes[name])
	}
	var seen []string
	for _, w := range nodes {
		got := told(t, w, func(q work.Queue) bool { return len(q.Running) > 0 }).Running
		if len(got) != 1 || got[0].Kind != "sulky" || got[0].ID != 7 || nodes[got[0].Node] == nil || got[0].Since.IsZero() {
			t.Fatalf("running is %+v", got)
		}
		seen = append(seen, got[0].Node)
	}
	if seen[0] != seen[1] {
		t.Errorf("it runs on %v", seen)
	}
}

func TestWhatWaitsIsCountedByWhoFeeds(t *testing.T) {
	k, _ := once(func(ctx context.Context) {
		for !work.Stopping(ctx) {
			time.Sleep(10 * time.Millisecond)
		}
	})
	many := work.Kind{Name: "many", Due: func(_ context.Context, _ time.Time, limit int) (ids []int64, err error) {
		for id := range int64(min(limit, 30)) {
			ids = append(ids, id+1)
		}
		return ids, nil
	}, Do: func(ctx context.Context, _ int64) error {
		for !work.Stopping(ctx) {
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	}}
	w := &work.Work{DB: storetest.SQLite(t), Kinds: []work.Kind{k, many}, Workers: 10, Owner: work.OwnerName(), Log: slog.New(slog.DiscardHandler)}
	if got := w.Waiting(); got != nil {
		t.Errorf("before it runs it counts %v", got)
	}
	runs(t, w)
	for end := time.Now().Add(trial.Patience); w.Waiting()["many"] != 20 || w.Waiting()["once"] != 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting are %v, want 20 of 30", w.Waiting())
		}
	}
}
