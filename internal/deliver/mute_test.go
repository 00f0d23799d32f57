package deliver_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// muteFlock is a flock whose canary says nothing and is looked at by nobody.
func (y *yard) muteFlock() *certfleet.Certificate {
	y.Helper()
	y.rack.set(func() { y.rack.mum = true })
	y.target.Probe = nil
	return y.flock()
}

// tenth is when a tenth of a version's life is left.
func (y *yard) tenth(version int64) time.Time {
	y.Helper()
	v, err := y.db.Version(y.Context(), version)
	if err != nil {
		y.Fatal(err)
	}
	return v.NotAfter.Add(-v.NotAfter.Sub(v.NotBefore) / 10).Truncate(time.Millisecond)
}

func TestAMuteCanaryHoldsOthersOnlyWhileTheyHaveSomething(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.muteFlock()
	first := y.versionAll(c.ID)
	if d := y.delivery(first[1].ID); !d.Held || !d.DueAt.IsZero() {
		t.Fatalf("before the canary was handed anything the rest is %+v", d)
	}
	if d := y.now(r, first[0].ID); d.State != certfleet.DeliverySent {
		t.Fatalf("the canary is %+v", d)
	}
	if d := y.delivery(first[1].ID); d.DueAt.IsZero() || d.DueAt.After(time.Now()) || d.Advice != "" {
		t.Fatalf("the rest has nothing, and is %+v", d)
	}
	if err := r.Do(t.Context(), first[1].ID); err != nil || y.delivery(first[1].ID).State != certfleet.DeliverySent || y.delivery(first[1].ID).Held {
		t.Fatalf("the rest is %+v, %v", y.delivery(first[1].ID), err)
	}
	if y.said(c.ID, "canary.passed_over", "nothing is there yet") != 1 || y.events(c.ID, "canary.mute") != 1 {
		t.Error("no events say so")
	}

	next := y.versionAll(c.ID)
	y.now(r, next[0].ID)
	d := y.delivery(next[1].ID)
	if !d.Held || !d.DueAt.Equal(y.tenth(first[1].VersionID)) || !strings.Contains(d.Problem, "cannot be proven") || !strings.Contains(d.Advice, "--probe") {
		t.Fatalf("the rest has a version, and is %+v, want it held until %s", d, y.tenth(first[1].VersionID))
	}
	if d := y.now(r, next[1].ID); d.Held || d.State != certfleet.DeliverySent || d.Problem+d.Advice != "" || y.said(c.ID, "canary.passed_over", "ends soon") != 1 {
		t.Errorf("when it could wait no longer the rest is %+v", d)
	}
}

// said counts the events of a kind that say something.
func (y *yard) said(certificate int64, kind, what string) (n int) {
	y.Helper()
	list, _, err := y.db.Events(y.Context(), store.EventFilter{CertificateID: certificate, Limit: 200})
	if err != nil {
		y.Fatal(err)
	}
	for _, e := range list {
		if e.Kind == kind && strings.Contains(e.Msg, what) {
			n++
		}
	}
	return n
}

func TestACanaryThatIsLookedAtNoMoreDoesNotHoldForEver(t *testing.T) {
	t.Parallel()
	for _, mum := range []bool{true, false} {
		y := build(t, storetest.SQLite(t))
		r := y.room(1)
		c := y.flock()
		y.rack.set(func() { y.rack.mum, y.rack.stuck = mum, true })
		list := y.versionAll(c.ID)
		y.now(r, list[0].ID)
		y.target.Probe = nil
		y.change()
		if d := y.now(r, list[0].ID); !d.DueAt.IsZero() {
			t.Fatalf("the canary is looked at again: %+v", d)
		}
		if d := y.delivery(list[1].ID); d.DueAt.IsZero() || d.Held != mum {
			t.Errorf("mum %v: the rest is %+v", mum, d)
		}
	}
}

func TestAMuteCanaryIsNotWaitedForWhereAnotherSang(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 2}, {2, 0}} {
		y := build(t, storetest.SQLite(t))
		r := y.room(1)
		c := y.muteFlock()
		second := &certfleet.StoredTarget{Label: "second", Type: "rack", Probe: []string{y.rack.serve(t)}, Pace: certfleet.Pace{Group: "web", Canary: true}}
		c.Targets = append(c.Targets, "second")
		y.tx(func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddTarget(ctx, second); err != nil {
				return err
			}
			return tx.ReplaceCertificate(ctx, c, "operator")
		})
		list := y.versionAll(c.ID)
		for _, i := range order {
			if d := y.delivery(list[1].ID); !d.Held || !d.DueAt.IsZero() {
				t.Fatalf("before both canaries were handed it the rest is %+v", d)
			}
			if i == 2 {
				y.served(r, list[2].ID)
				continue
			}
			y.now(r, list[0].ID)
		}
		if d := y.delivery(list[1].ID); d.Held || d.DueAt.IsZero() || y.events(c.ID, "canary.mute") != 0 {
			t.Errorf("in the order %v the rest is %+v", order, d)
		}
	}
}

// TestWhatAnAgentFetchesIsHeldOnlyAsLongAsItCan: nothing is handed to such a target,
// so that the end of the wait must be written when it comes.
func TestWhatAnAgentFetchesIsHeldOnlyAsLongAsItCan(t *testing.T) {
	t.Parallel()
	y := build(t, storetest.SQLite(t))
	r := y.room(1)
	c := y.muteFlock()
	list, _, err := y.db.Targets(t.Context(), 0, nil, store.Cursor{}, 10)
	i := slices.IndexFunc(list, func(g certfleet.StoredTarget) bool { return g.Label == "rest" })
	if err != nil || i < 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	list[i].Type = certfleet.TypePull
	y.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveTarget(ctx, &list[i]) })
	waits := y.versionAll(c.ID)
	y.now(r, waits[0].ID)
	if err := r.Do(t.Context(), waits[1].ID); err != nil {
		t.Fatal(err)
	}
	if d := y.delivery(waits[1].ID); d.Held || d.State != certfleet.DeliveryDue || !d.DueAt.IsZero() {
		t.Errorf("the rest is %+v", d)
	}
	got, err := y.db.Assignments(t.Context(), list[i].ID, 10)
	if err != nil || len(got) != 1 || y.events(c.ID, "canary.passed_over") != 1 {
		t.Errorf("assigned to its agent are %+v, %v", got, err)
	}
}
