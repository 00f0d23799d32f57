package edge

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/target/redis"
	"github.com/certfleet/certfleet/internal/trial"
)

// promise is how long an edge may go on to show the pair of before a change.
const promise = 2 * time.Second

// renewal is many names whose pairs change while clients come all the time.
type renewal struct {
	*rig
	first, second []certfleet.Bundle
	changed       atomic.Pointer[time.Time] // when the delivery of second was over
	latest        atomic.Int64              // ns after that, when the last handshake began that showed first
	after         atomic.Int64              // handshakes that began later than the promise
	all           atomic.Int64
	stall         atomic.Int64 // ns that a client overslept at most
}

func newRenewal(r *rig, names int) *renewal {
	x := &renewal{rig: r}
	for i := range names {
		x.first = append(x.first, r.bundle(int64(i+1), shop(i)))
		x.second = append(x.second, r.bundle(int64(i+1001), shop(i)))
	}
	return x
}

// shake is one handshake, judged by when it began.
func (x *renewal) shake(i int) {
	began, name := time.Now(), x.first[i].Certificate
	got := x.served(name)
	x.all.Add(1)
	late := time.Duration(0)
	if changed := x.changed.Load(); changed != nil {
		late = began.Sub(*changed)
	}
	if late > promise {
		x.after.Add(1)
	}
	switch got {
	case x.second[i].Fingerprint:
	case x.first[i].Fingerprint:
		latest(&x.latest, late)
	default:
		x.Errorf("%s showed %.12s, neither the old pair nor the new one", name, got)
	}
}

// rest is a client's pause, by which is seen how long this machine lets a process
// that could run wait for its turn.
func (x *renewal) rest() {
	began := time.Now()
	time.Sleep(pace)
	latest(&x.stall, time.Since(began)-pace)
}

func latest(to *atomic.Int64, d time.Duration) {
	for {
		was := to.Load()
		if int64(d) <= was || to.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// run shakes hands for all names in turn until each has been seen often enough
// after the promise was due. Just before the change, meanwhile is called.
func (x *renewal) run(clients int, meanwhile func()) {
	x.Helper()
	x.deliver(x.first...)
	var next atomic.Int64
	var group sync.WaitGroup
	enough := int64(10 * len(x.first)) // each name in each of two workers, very probably
	for range clients {
		group.Go(func() {
			for x.after.Load() < enough && !x.Failed() {
				x.shake(int(next.Add(1)) % len(x.first))
				x.rest()
			}
		})
	}
	x.eventually("traffic for every name", func() bool { return int(x.all.Load()) > 10*len(x.first) })
	if meanwhile != nil {
		meanwhile()
	}
	x.deliver(x.second...)
	now := time.Now()
	x.changed.Store(&now)
	group.Wait()
	last, stall := time.Duration(x.latest.Load()), time.Duration(x.stall.Load())
	x.Logf("%d handshakes; an old pair was last shown to a client that came %v after the change; the longest stall of this machine was %v", x.all.Load(), last.Round(time.Millisecond), stall.Round(time.Millisecond))
	if last > promise+stall {
		x.Errorf("an old pair was shown to a client that came %v after the change, want %v at most", last, promise)
	}
}

func TestRenewalUnderLoadIsEverywhereWithinTwoSeconds(t *testing.T) {
	trial.InFull(t)
	t.Run("publish", func(t *testing.T) {
		r := start(t, settings{Workers: 2})
		r.listening()
		newRenewal(r, 50).run(4, nil)
	})
	t.Run("expire route", func(t *testing.T) {
		r := start(t, settings{Workers: 2, Options: "subscribe = false"})
		r.settings.Redis.Edges = []redis.Edge{{URL: "http://" + r.HTTP}}
		r.target = r.newTarget()
		newRenewal(r, 50).run(4, nil)
	})
	t.Run("both workers busy with misses", func(t *testing.T) {
		r := start(t, settings{Workers: 2})
		r.listening()
		x := newRenewal(r, 50)
		stop, _ := r.traffic(2, func(i int) (string, map[string]bool) {
			return fmt.Sprintf("bogus%d.example.net", i), map[string]bool{r.fallback: true}
		})
		x.run(2, nil)
		stop()
	})
}
