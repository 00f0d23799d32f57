package agent

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/api"
)

// telling is a reporter whose manager is nobody.
func (k *kit) telling() *reporter {
	k.c.Serves = []string{"127.0.0.1:1"}
	return &reporter{a: k.Agent, changed: map[string]bool{}, unseen: map[string]bool{}, updaters: map[string]api.UpdaterNote{}, wake: make(chan struct{}, 1)}
}

func TestEveryCertificateIsLookedAtAgainInTurn(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	const live = relooked + 20
	for i := range live {
		k.stage(fmt.Sprintf("site%02d", i), pair(t, time.Hour, "shop.example"))
	}
	k.sync()
	r := k.telling()
	r.lookOver()
	first := slices.Sorted(maps.Keys(r.changed))
	r.changed = map[string]bool{}
	r.sees("site00", true)
	r.lookOver()
	if !r.changed["site00"] || len(first) != relooked {
		t.Errorf("first %v, then %v; what was not served is to be looked at each time", first, slices.Sorted(maps.Keys(r.changed)))
	}
	for _, l := range first {
		r.changed[l] = true
	}
	if len(r.changed) != live {
		t.Errorf("two rounds looked at %d of %d", len(r.changed), live)
	}
}

func TestAServiceThatIsSlowToReloadIsLookedAtSoon(t *testing.T) {
	t.Parallel()
	r := newKit(t, nil).telling()
	if d := r.next(); d < reportEvery-reportEvery/10-1 {
		t.Errorf("with nothing to look at the next report comes after %s", d)
	}
	r.sees("shop", true)
	for i, most := range []time.Duration{lookAgain, 2 * lookAgain, 4 * lookAgain} {
		if d := r.next(); d > most || d < most*8/10 {
			t.Errorf("look %d comes after %s, want about %s", i, d, most)
		}
	}
	for range 20 {
		if d := r.next(); d > reportEvery {
			t.Errorf("a look comes after %s only", d)
		}
	}
	r.sees("shop", false)
	r.next()
	r.sees("shop", true)
	if d := r.next(); d > lookAgain {
		t.Errorf("after it was served the next look comes after %s", d)
	}
}
