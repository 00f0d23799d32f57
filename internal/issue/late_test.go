package issue_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/work"
)

// block puts a name on the blocklist.
func (h *house) block(name string) {
	h.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.Block(ctx, &store.Blocked{Kind: "name", Pattern: name})
	})
}

// TestWhatWasBlockedWhileItWaitedIsNotOrdered blocks names whose order, or whose
// backup's, is due already.
func TestWhatWasBlockedWhileItWaitedIsNotOrdered(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r, asked := h.room(nil), 0
	h.second("other")
	p := h.policyLike("two", func(s *certfleet.PolicySpec) { s.Backup = &certfleet.BackupSpec{Authority: "other"} })
	c := h.wantBy(p, "shop.example.com")
	h.issue(r, c)
	waits := h.open(r, h.want("late.example.com"))
	h.wire.breakBy(func(_ http.ResponseWriter, req *http.Request, _ string) bool {
		if req.URL.Path == "/order-plz" {
			asked++
		}
		return false
	})
	h.block("late.example.com")
	h.block("shop.example.com")
	err := work.StepOnce(t.Context(), h.db, work.OwnerName(), waits.ID, r.Step)
	for err == nil && h.order(waits.ID).Live() {
		err = work.StepOnce(t.Context(), h.db, work.OwnerName(), waits.ID, r.Step)
	}
	if o := h.order(waits.ID); err != nil || o.State != certfleet.OrderFailed || !strings.Contains(o.Problem, "blocklist") {
		t.Errorf("the order is %s: %q, %v", o.State, o.Problem, err)
	}
	if err := r.OpenBackup(t.Context(), c.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if b := h.backup(c.ID); !strings.Contains(b.Problem, "blocklist") || !b.DueAt.After(time.Now()) {
		t.Errorf("the backup is %+v", b)
	}
	if asked != 0 {
		t.Errorf("the CA was asked for %d orders", asked)
	}
}

// TestACleanupThatIsDoneTwiceIsDoneOnce comes late, and then again.
func TestACleanupThatIsDoneTwiceIsDoneOnce(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		ctx := f.Context()
		c := f.want(certfleet.LaneNew, "twice.example")[0]
		f.live(time.Minute)
		ch, taken := f.record(c), 0
		f.room.Solver = func(certfleet.ChallengeType, string) (certfleet.Solver, error) {
			return cleaner(func() { taken++ }), nil
		}
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.CleanAgain(ctx, ch.ID, time.Now().Add(time.Hour), "not yet")
		})
		for _, when := range []struct {
			after time.Duration
			want  int
		}{{0, 0}, {2 * time.Hour, 1}, {3 * time.Hour, 1}} {
			err := f.room.CleanUp(ctx, ch, time.Now().Add(when.after))
			if err != nil && !errors.Is(err, store.ErrStale) || taken != when.want {
				t.Errorf("after %s it was taken away %d times, want %d: %v", when.after, taken, when.want, err)
			}
		}
	})
}
