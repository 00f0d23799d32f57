package app_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestAStoppedNodeWakesUpHarmless stops a process that holds a claim, as a
// machine does that swaps or is moved. Another takes the order over when the
// lease has ended; what the first still wants to write is refused.
func TestAStoppedNodeWakesUpHarmless(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	stopEverywhere(t, func(n *nest) { n.lease = 3 * time.Second })
}

// TestANodeThatWasStoppedForLongWakesUpHarmless is the same with the lease that is
// usual, by which the other node waits two minutes, and a stop of ten.
func TestANodeThatWasStoppedForLongWakesUpHarmless(t *testing.T) {
	if !trial.Long() {
		t.Skip("it stops a node for ten minutes; set CERTFLEET_LONG=1, as make test-long does")
	}
	t.Parallel()
	stopEverywhere(t, func(n *nest) { n.stopped = 10 * time.Minute })
}

// stopEverywhere stops a node at each place of an order, on both engines.
func stopEverywhere(t *testing.T, how func(*nest)) {
	for engine, url := range map[string]func(testing.TB) string{"sqlite": func(testing.TB) string { return "" }, "postgres": storetest.PostgresURL} {
		for _, place := range []string{"placed", "presented", "key made", "finalized"} {
			t.Run(engine+"/"+place, func(t *testing.T) {
				t.Parallel()
				n := newNestAt(t, url(t))
				how(n)
				n.stops(place)
			})
		}
	}
}

func (n *nest) stops(place string) {
	id := n.want("stopped.example")[0]
	first := n.start(stopsAt + place)
	woken := time.Now().Add(n.stopped)
	until(n, "stop", func() (bool, string) { s := stateOf(first.Process.Pid); return s == "T", s })
	held := n.order(id)
	if held.Owner == "" || !held.LeaseUntil.After(time.Now()) {
		n.Fatalf("the stopped node holds nothing: %q until %s", held.Owner, held.LeaseUntil)
	}
	second := n.start("never")
	n.leaseEnds(held)
	until(n, "issue by the other", func() (bool, string) {
		o := n.order(id)
		return !o.Live(), string(o.State) + " " + o.Owner + " " + o.Problem
	})
	done, placed := n.order(id), n.placed.Load()
	if done.State != certfleet.OrderIssued || done.ID != held.ID || (held.KeyID != 0 && done.KeyID != held.KeyID) {
		n.Fatalf("order %d with key %d became order %d with key %d, %s: %s", held.ID, held.KeyID, done.ID, done.KeyID, done.State, done.Problem)
	}
	if want := map[bool]int64{true: 2, false: 1}[place == "placed"]; placed != want { // the answer sleeps in the stopped process
		n.Errorf("the CA took %d orders, want %d", placed, want)
	}
	time.Sleep(time.Until(woken))
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		n.Fatal(err)
	}
	n.stays(done, placed, first, second)
}

// leaseEnds waits until the claim of a node that is stopped has run out, until
// when the other leaves the order alone.
func (n *nest) leaseEnds(held *certfleet.Order) {
	n.Helper()
	for time.Now().Before(held.LeaseUntil) {
		if o := n.order(held.CertificateID); o.Rev != held.Rev && time.Now().Before(held.LeaseUntil) {
			n.Fatalf("before its claim ended at %s the order became %+v", held.LeaseUntil, o)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// stays wants nothing to change any more, and both nodes alive.
func (n *nest) stays(was *certfleet.Order, placed int64, nodes ...*node) {
	n.Helper()
	time.Sleep(1500 * time.Millisecond)
	now := n.order(was.CertificateID)
	if now.ID != was.ID || now.Rev != was.Rev || now.VersionID != was.VersionID || now.KeyID != was.KeyID {
		n.Errorf("the node that woke up wrote: order %+v became %+v", was, now)
	}
	if got := n.placed.Load(); got != placed {
		n.Errorf("the CA took %d orders more", got-placed)
	}
	list, _, err := n.db.Versions(n.Context(), store.VersionFilter{CertificateID: was.CertificateID})
	if err != nil || len(list) != 1 {
		n.Errorf("there are %d versions, want 1: %v", len(list), err)
	}
	for _, c := range nodes {
		select {
		case <-c.ended:
			n.Errorf("a node ended: %s", c.ProcessState)
		default:
		}
	}
}

// stateOf is the kernel's letter for how a process is, T for stopped.
func stateOf(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return err.Error()
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}
