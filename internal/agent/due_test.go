package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/updater"
)

// busy is an updater during whose first run something else happens.
type busy struct {
	meanwhile func()
	told      []string // fingerprints, run by run
}

func (u *busy) Update(_ context.Context, changed []certfleet.Bundle) error {
	for _, b := range changed {
		u.told = append(u.told, b.Fingerprint)
	}
	if do := u.meanwhile; do != nil {
		u.meanwhile = nil
		do()
	}
	return nil
}

// TestAMarkMadeDuringARunStaysDue although that run told its updater well.
func TestAMarkMadeDuringARunStaysDue(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*kit){
		"a newer version": func(k *kit) {
			k.stage("shop", pair(k, 2*time.Hour, "shop.example"))
			if r, err := k.apply(k.Context(), nil); err != nil || len(r.Live) != 1 {
				k.Errorf("the newer one is not live: %+v, %v", r, err)
			}
		},
		"the same version once more": func(k *kit) {
			k.mu.Lock()
			defer k.mu.Unlock()
			if err := k.mark(k.liveBundle("shop")); err != nil {
				k.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, u := newKit(t, nil), &busy{}
			k.items = []updater.Item{{Name: "web", Updater: u}}
			u.meanwhile = func() { change(k) }
			k.stage("shop", pair(t, time.Hour, "shop.example"))
			k.sync()
			if mark, err := os.ReadFile(filepath.Join(k.c.Staging, own, "pending", "shop")); err != nil || string(mark) != `["web"]` {
				t.Fatalf("after the run that it was made in, the mark is %q, %v", mark, err)
			}
			k.sync()
			if n := len(u.told); n != 2 || u.told[1] != k.liveBundle("shop").Fingerprint {
				t.Errorf("told of %q, want two runs, the last of what is live", u.told)
			}
			if k.sync(); len(u.told) != 2 {
				t.Errorf("told %d times, although nothing is due any more", len(u.told))
			}
		})
	}
}
