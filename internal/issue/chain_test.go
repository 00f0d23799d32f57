package issue_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
)

// links is how many certificates the chain has that a certificate serves, zero
// for one that has none yet.
func (f *fleet) links(c *certfleet.Certificate) int {
	f.Helper()
	id := f.certificate(c.ID).VersionID
	if id == 0 {
		return 0
	}
	v, err := f.db.Version(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return bytes.Count(v.ChainPEM, []byte("BEGIN CERTIFICATE"))
}

// TestAChainWithoutItsIntermediateIsNotServed has a CA that leaves it out of one
// chain, or of all for a while.
func TestAChainWithoutItsIntermediateIsNotServed(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.ca.Inject(fakeca.Fault{Kind: fakeca.MissingIntermediate, Times: 1})
		first := f.want(certfleet.LaneNew, "a.example")[0]
		f.live(time.Minute)
		if n := f.links(first); n < 2 {
			t.Errorf("the default chain is short, and of two chains the one with %d certificates is served", n)
		}

		was := f.certificate(first.ID).VersionID
		f.ca.Inject(fakeca.Fault{Kind: fakeca.MissingIntermediate, Until: time.Now().Add(time.Hour)})
		f.now(certfleet.LaneRoutine, first)
		second := f.want(certfleet.LaneNew, "b.example")[0]
		f.live(5 * time.Minute)
		if f.certificate(first.ID).VersionID != was || f.links(second) != 0 {
			t.Errorf("a leaf alone took the place of a whole chain, or was served at once: chains of %d and %d", f.links(first), f.links(second))
		}
		if o, err := f.db.LastOrder(f.Context(), first.ID); err != nil || o.ProblemType != "shortChain" || o.Advice == "" {
			t.Errorf("the order says %+v, %v", o, err)
		}
		f.live(time.Hour + 15*time.Minute)
		if f.certificate(first.ID).VersionID == was || f.links(first) < 2 {
			t.Errorf("the CA sends the intermediate again, and a chain of %d is served", f.links(first))
		}
		if f.links(second) != 1 {
			t.Errorf("a name that had nothing serves a chain of %d; want what there was after ten minutes", f.links(second))
		}
	})
}

// TestACAThatNeverSendsAnIntermediateIsBelieved signs with what clients know.
func TestACAThatNeverSendsAnIntermediateIsBelieved(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.MissingIntermediate}}}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "a.example")[0]
		f.live(30 * time.Minute)
		was := f.certificate(c.ID).VersionID
		if was == 0 {
			t.Fatal("nothing is served after half an hour")
		}
		f.now(certfleet.LaneRoutine, c)
		f.live(time.Minute)
		if f.certificate(c.ID).VersionID == was {
			t.Error("a renewal waits although the version in use came without an intermediate too")
		}
	})
}
