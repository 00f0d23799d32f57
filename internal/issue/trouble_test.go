package issue_test

import (
	"context"
	"database/sql"
	"net/http"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/work"
)

func TestNoWordOfACASilencesUsUntilCertificatesExpire(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		typ    string
		most   time.Duration
	}{{503, "serverInternal", 6 * time.Hour}, {429, "rateLimited", 8 * 24 * time.Hour}} {
		h := build(t, storetest.SQLite(t), pebble.Options{})
		r, asked := h.room(nil), 0
		h.wire.breakBy(newOrders(&asked, func(w http.ResponseWriter) bool {
			return refuse(w, c.status, c.typ, "come again", "99999999999999999999")
		}))
		o := h.open(r, h.want("silent.example"))
		for asked == 0 {
			o = h.step(r, o.ID)
		}
		if wait := time.Until(o.DueAt); wait < c.most-time.Minute || wait > c.most {
			t.Errorf("after status %d with an absurd Retry-After the order waits %s, want %s", c.status, wait, c.most)
		}
		for _, p := range h.pauses() {
			if wait := time.Until(p.Until); wait > c.most {
				t.Errorf("after status %d all of %s waits %s", c.status, p.Key, wait)
			}
		}
	}
}

func TestTroubleOfTheDatabaseFailsNoOrder(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	o := h.placed(r, h.want("files.example"))
	none, err := sql.Open("sqlite", "file:/nowhere/at/all?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	cause := none.Ping()
	find := r.Solver
	r.Solver = func(certfleet.ChallengeType, string) (certfleet.Solver, error) {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the database file cannot be opened", Err: cause}
	}
	err = work.StepOnce(t.Context(), h.db, work.OwnerName(), o.ID, r.Step)
	if o = h.order(o.ID); err == nil || !o.Live() {
		t.Errorf("the order is %s: %q; the step said %v", o.State, o.Problem, err)
	}
	r.Solver = find
	h.hurry(o.ID) // it would be tried again in a few seconds
	o = h.finish(r, o.ID)
	if o.State != certfleet.OrderIssued {
		t.Errorf("when the database answers again the order is %s: %s", o.State, o.Problem)
	}
}

// TestWhatIsPresentedIsRememberedWhenTheStepIsCutOff is about a solver whose state
// alone tells what there is to take away.
func TestWhatIsPresentedIsRememberedWhenTheStepIsCutOff(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	p := h.policyLike("dns", func(s *certfleet.PolicySpec) { s.Challenge = certfleet.DNS01 })
	o := h.placed(r, h.wantBy(p, "cut.example"))
	ctx, cut := context.WithCancel(t.Context())
	h.dns.crashBy(cut)
	if err := work.StepOnce(ctx, h.db, work.OwnerName(), o.ID, r.Step); err == nil {
		t.Fatal("the step was not cut off")
	}
	list, err := h.db.ChallengesOf(t.Context(), o.ID)
	if err != nil || len(list) != 1 || list[0].PresentedAt.IsZero() || len(list[0].State) == 0 {
		t.Errorf("of what was presented there is %+v, %v", list, err)
	}
}
