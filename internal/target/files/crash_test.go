package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

var errCrash = errors.New("the machine stopped here")

// crashAt dies at the n-th file operation and lets none happen after it.
func crashAt(n int) (hook func(string) error, died *bool) {
	died = new(bool)
	return func(string) error {
		if n--; n < 0 {
			*died = true
			return errCrash
		}
		return nil
	}, died
}

// TestACrashAnywhereLeavesAWorkingPair stops at each file operation in turn,
// looks as a server would, and lets the next process finish.
func TestACrashAnywhereLeavesAWorkingPair(t *testing.T) {
	first, second := targettest.Bundle(t, "shop", 1, "shop.example.com"), targettest.Bundle(t, "shop", 2, "shop.example.com")
	for _, l := range layouts {
		for _, from := range [][]certfleet.Bundle{nil, {first}} {
			t.Run(fmt.Sprintf("%s from %d", l, len(from)), func(t *testing.T) {
				if l != layouts[0] || len(from) == 0 {
					trial.InFull(t)
				}
				t.Parallel() // fsync is mostly waiting
				n := 0
				for crashOnce(t, l, from, second, n) {
					n++
				}
				if n < 10 {
					t.Errorf("only %d operations were seen", n)
				}
			})
		}
	}
}

// crashOnce reports whether the delivery died, which it does until n is past
// its last operation.
func crashOnce(t *testing.T, l Layout, from []certfleet.Bundle, to certfleet.Bundle, n int) bool {
	t.Helper()
	top := t.TempDir()
	ran := filepath.Join(top, "ran")
	c := Config{Dir: filepath.Join(top, "fleet"), Layout: l, Command: []string{"sh", "-c", "echo >> " + ran}}
	deliver(t, newTarget(t, c), from...)
	os.Remove(ran)

	target := newTarget(t, c)
	hook, died := crashAt(n)
	target.hook = hook
	r, err := target.Deliver(t.Context(), []certfleet.Bundle{to}, nil)
	if *died && err == nil && r[0].Err == nil {
		t.Errorf("%s, operation %d: died without an error", l, n)
	}
	allowed := []string{to.Fingerprint, ""}
	if len(from) > 0 {
		allowed[1] = from[0].Fingerprint
	}
	if got := fingerprint(t, c, l, n); !slices.Contains(allowed, got) {
		t.Errorf("%s, operation %d: a server reads %q", l, n, got)
	}
	onlyFinished(t, c, l, n)

	deliver(t, newTarget(t, c), to)
	if got := fingerprint(t, c, l, n); got != to.Fingerprint {
		t.Errorf("%s, operation %d: after the next try a server reads %q", l, n, got)
	}
	if b, _ := os.ReadFile(ran); len(b) == 0 {
		t.Errorf("%s, operation %d: the command never ran", l, n)
	}
	return *died
}

// fingerprint is what a server reads; a pair that is mixed or half there fails.
func fingerprint(t *testing.T, c Config, l Layout, n int) string {
	t.Helper()
	chain, key, err := served(c.Dir, l)("shop")
	if err != nil {
		t.Fatalf("%s, operation %d: read: %v", l, n, err)
	}
	if chain == nil && key == nil {
		return ""
	}
	certs, _, err := pki.ParsePair(chain, key)
	if err != nil {
		t.Fatalf("%s, operation %d: a server reads no working pair: %v", l, n, err)
	}
	return pki.Fingerprint(certs[0])
}

// onlyFinished checks that nothing temporary lies where servers look.
func onlyFinished(t *testing.T, c Config, l Layout, n int) {
	t.Helper()
	scanned := map[Layout]string{Certbot: "live", HAProxy: ".", PeterSSLers: "global"}[l]
	entries, _ := os.ReadDir(filepath.Join(c.Dir, scanned))
	for _, e := range entries {
		if strings.TrimSuffix(e.Name(), ".pem") != "shop" {
			t.Errorf("%s, operation %d: %q lies in the scanned folder", l, n, e.Name())
		}
	}
}

// TestReadersNeverSeeAMixedPair reads all the time while versions change and
// several targets deliver to one folder.
func TestReadersNeverSeeAMixedPair(t *testing.T) {
	for _, l := range layouts {
		dir := filepath.Join(t.TempDir(), "fleet")
		bundles := make([]certfleet.Bundle, 12)
		for i := range bundles {
			bundles[i] = targettest.Bundle(t, "shop", int64(i+1), "shop.example.com")
		}
		deliver(t, newTarget(t, Config{Dir: dir, Layout: l}), bundles[0])
		var writers, reader sync.WaitGroup
		done := make(chan struct{})
		reader.Go(func() { readUntil(t, dir, l, done) })
		for range 3 {
			writers.Go(func() {
				target, _ := New(Config{Dir: dir, Layout: l, Keep: 12}, dial.Deps{})
				for _, b := range bundles {
					target.Deliver(t.Context(), []certfleet.Bundle{b}, nil)
				}
			})
		}
		writers.Wait()
		close(done)
		reader.Wait()
		if fp, err := newTarget(t, Config{Dir: dir, Layout: l}).Holds(t.Context(), "shop", certfleet.Receipt{}); fp != bundles[11].Fingerprint || err != nil {
			t.Errorf("%s: at the end it holds %q, %v; want the newest", l, fp, err)
		}
	}
}

// readUntil follows the link once and reads both files there, as a server that
// loads a folder does.
func readUntil(t *testing.T, dir string, l Layout, done chan struct{}) {
	seen := 0
	for {
		select {
		case <-done:
			if seen == 0 {
				t.Errorf("%s: nothing was read", l)
			}
			return
		default:
		}
		at := map[Layout]string{Certbot: "live/shop", HAProxy: "shop.pem", PeterSSLers: "global/shop"}[l]
		p, err := filepath.EvalSymlinks(filepath.Join(dir, at))
		if err != nil {
			t.Errorf("%s: %v", l, err)
			return
		}
		chain, key := filepath.Join(p, "fullchain.pem"), filepath.Join(p, "privkey.pem")
		switch l {
		case HAProxy:
			chain, key = p, ""
		case PeterSSLers:
			chain, key = filepath.Join(p, "primary/fullchain.pem"), filepath.Join(p, "primary/pkey.pem")
		}
		c, err1 := os.ReadFile(chain)
		k := c
		var err2 error
		if key != "" {
			k, err2 = os.ReadFile(key)
		}
		if _, _, err := pki.ParsePair(c, k); err != nil || err1 != nil || err2 != nil {
			t.Errorf("%s: a reader saw %v %v %v", l, err, err1, err2)
			return
		}
		seen++
	}
}
