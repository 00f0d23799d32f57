package issue_test

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestAnOrderThatIsGivenUpLeavesOthersTheirAuthorizations has two orders share the
// pending authorization of a name, while another name of the first cannot be proved.
func TestAnOrderThatIsGivenUpLeavesOthersTheirAuthorizations(t *testing.T) {
	t.Parallel()
	o := fakeca.Options{SharePending: true, ValidationDelay: 10 * time.Second, Validate: func(_ context.Context, v fakeca.Validation) error {
		if v.Name == "bad.example" {
			return errors.New("connection refused")
		}
		return nil
	}}
	bubble(t, o, func(f *fleet) {
		bad := f.want(certfleet.LaneNew, "both.example,bad.example")[0]
		f.live(4 * time.Second)
		good := f.want(certfleet.LaneNew, "both.example,good.example")[0]
		f.live(50 * time.Second)
		if got := f.certificate(good.ID); got.VersionID == 0 || got.Failures != 0 {
			t.Errorf("the other order fell with it: %d failures, %q", got.Failures, got.Problem)
		}
		if got := f.certificate(bad.ID); got.Failures != 1 {
			t.Errorf("the order that cannot be had failed %d times, %q", got.Failures, got.Problem)
		}
		if n := f.ca.Stats().Requests["challenge"]; n != 3 {
			t.Errorf("the CA was told to look %d times at three names", n)
		}
	})
}

// TestAnOrderAloneGivesItsAuthorizationsUp has nobody else wait for the name.
func TestAnOrderAloneGivesItsAuthorizationsUp(t *testing.T) {
	t.Parallel()
	var looks atomic.Int64
	o := fakeca.Options{SharePending: true, ValidationDelay: 10 * time.Second, Validate: func(context.Context, fakeca.Validation) error {
		looks.Add(1)
		return nil
	}}
	bubble(t, o, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "alone.example")[0]
		f.live(4 * time.Second)
		f.remove(c)
		f.live(20 * time.Second)
		f.want(certfleet.LaneNew, "alone.example,next.example")
		f.live(time.Minute)
		if n := looks.Load(); n != 3 {
			t.Errorf("the CA looked %d times, want three: what was given up serves nobody any more", n)
		}
	})
}

// remove ends a certificate, as an operator does.
func (f *fleet) remove(c *certfleet.Certificate) {
	f.Helper()
	c = f.certificate(c.ID)
	c.State, c.DueAt = certfleet.Removed, time.Time{}
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, c) })
}

// TestAGivenUpOrderTakesNoProofFromAnother lets Pebble give a valid authorization
// to a second order before the first one learns that it cannot succeed.
func TestAGivenUpOrderTakesNoProofFromAnother(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{AuthzReuse: 99, Resolve: func(name string) []netip.Addr {
		if name == "bad.example" {
			return nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}})
	r := h.room(nil)
	bad := h.placed(r, h.want("bad", "both.example", "bad.example"))
	if bad = h.step(r, bad.ID); !bad.Live() { // it tells the CA to look
		t.Fatalf("the first order is %s: %s", bad.State, bad.Problem)
	}
	time.Sleep(500 * time.Millisecond) // the CA looks
	good := h.placed(r, h.want("both.example"))
	if bad = h.finish(r, bad.ID); bad.State != certfleet.OrderFailed {
		t.Fatalf("the order that cannot be had is %s", bad.State)
	}
	if good = h.finish(r, good.ID); good.State != certfleet.OrderIssued {
		t.Errorf("the other order is %s: %s", good.State, good.Problem)
	}
}

// TestARecordStaysWhileAnotherOrderNeedsIt ends one of two orders that show the CA
// the same TXT record.
func TestARecordStaysWhileAnotherOrderNeedsIt(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{SharePending: true, ValidationDelay: time.Minute}, func(f *fleet) {
		f.policy.Spec.Challenge = certfleet.DNS01
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SavePolicy(ctx, f.policy) })
		z := records{}
		f.room.Solver = func(certfleet.ChallengeType, string) (certfleet.Solver, error) { return z, nil }
		f.cleans()
		first := f.want(certfleet.LaneNew, "both.example")[0]
		f.want(certfleet.LaneNew, "both.example,more.example")
		f.live(10 * time.Second)
		f.remove(first)
		f.live(20 * time.Second)
		if !z["_acme-challenge.both.example."] {
			t.Error("the record is gone that the CA still has to see")
		}
		f.live(5 * time.Minute)
		if f.issued() != 1 || len(z) != 0 {
			t.Errorf("%d issued; records are left: %v", f.issued(), z)
		}
	})
}

// cleans has challenges really taken away.
func (f *fleet) cleans() {
	for i, k := range f.work.Kinds {
		if k.Name != "cleanups" {
			continue
		}
		f.work.Kinds[i].Do = func(ctx context.Context, id int64) error {
			c, err := f.db.Challenge(ctx, id)
			if err != nil {
				return err
			}
			return f.room.CleanUp(ctx, *c, time.Now())
		}
	}
}

// records is a DNS provider that everybody sees at once; the work has one worker.
type records map[string]bool

func (z records) Present(_ context.Context, c certfleet.Challenge) ([]byte, error) {
	z[c.DNSName()] = true
	return nil, nil
}

func (z records) CleanUp(_ context.Context, c certfleet.Challenge, _ []byte) error {
	delete(z, c.DNSName())
	return nil
}
