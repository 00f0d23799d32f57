package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/targettest"
)

// fleet makes a version of as many certificates as go through lanes and barriers.
func fleet(t *testing.T, version int64) (all []certfleet.Bundle) {
	for i := range manyBundles + 3 {
		label := fmt.Sprintf("shop%d", i)
		all = append(all, targettest.Bundle(t, label, version, label+".example.com"))
	}
	return all
}

// TestACrashAmongManyLeavesWholePairs stops at operations of a delivery of many,
// in all its lanes at once. Each certificate then has its pair of before or the
// new one, whole, and the next delivery finishes.
func TestACrashAmongManyLeavesWholePairs(t *testing.T) {
	first, second := fleet(t, 1), fleet(t, 2)
	for _, l := range layouts {
		for _, from := range [][]certfleet.Bundle{nil, first} {
			t.Run(fmt.Sprintf("%s from %d", l, len(from)), func(t *testing.T) {
				t.Parallel()
				n := 0
				for ; crashAmong(t, l, from, second, n); n += 23 {
				}
				if n < 50 {
					t.Errorf("only %d operations were seen", n)
				}
			})
		}
	}
}

func crashAmong(t *testing.T, l Layout, from, to []certfleet.Bundle, n int) (died bool) {
	t.Helper()
	c := Config{Dir: filepath.Join(t.TempDir(), "fleet"), Layout: l}
	if from != nil {
		deliver(t, newTarget(t, c), from...)
	}
	target := newTarget(t, c)
	var mu sync.Mutex
	hook, dead := crashAt(n)
	target.hook = func(op string) error { mu.Lock(); defer mu.Unlock(); return hook(op) }
	receipts, err := target.Deliver(t.Context(), to, nil)
	for i := range to {
		got, allowed := wholePair(t, c, l, to[i].Certificate, n), []string{to[i].Fingerprint, ""}
		if from != nil {
			allowed[1] = from[i].Fingerprint
		}
		if got != allowed[0] && got != allowed[1] {
			t.Errorf("%s, operation %d: %s is %q", l, n, to[i].Certificate, got)
		}
		if err == nil && receipts[i].Err == nil && got != to[i].Fingerprint {
			t.Errorf("%s, operation %d: %s is said to be live and is not", l, n, to[i].Certificate)
		}
	}
	scanned := map[Layout]string{Certbot: "live", HAProxy: ".", PeterSSLers: "global"}[l]
	entries, _ := os.ReadDir(filepath.Join(c.Dir, scanned))
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "shop") {
			t.Errorf("%s, operation %d: %q lies in the scanned folder", l, n, e.Name())
		}
	}
	deliver(t, newTarget(t, c), to...)
	return *dead
}

// wholePair is the fingerprint of what a server reads, empty when nothing is there.
func wholePair(t *testing.T, c Config, l Layout, label string, n int) string {
	t.Helper()
	chain, key, err := served(c.Dir, l)(label)
	if err != nil {
		t.Fatalf("%s, operation %d: read %s: %v", l, n, label, err)
	}
	if chain == nil && key == nil {
		return ""
	}
	certs, _, err := pki.ParsePair(chain, key)
	if err != nil {
		t.Fatalf("%s, operation %d: %s is no working pair: %v", l, n, label, err)
	}
	return pki.Fingerprint(certs[0])
}

// TestPairsThatACrashLeftAreCleared finds nothing of a pair outside its place once
// something else was delivered.
func TestPairsThatACrashLeftAreCleared(t *testing.T) {
	top := t.TempDir()
	c := Config{Dir: filepath.Join(top, "fleet"), Layout: HAProxy}
	deliver(t, newTarget(t, c), targettest.Bundle(t, "blog", 1, "blog.example.com"))
	left := filepath.Join(top, ".certfleet-fleet", "pairs", "shop.pem")
	if err := os.WriteFile(left, []byte("a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	deliver(t, newTarget(t, c), targettest.Bundle(t, "blog", 2, "blog.example.com"))
	if _, err := os.Stat(left); err == nil {
		t.Error("a pair that is delivered no more lies there still")
	}
}

// TestWhatWasCheckedIsWrittenAsWhatIsParsed compares both ways in.
func TestWhatWasCheckedIsWrittenAsWhatIsParsed(t *testing.T) {
	for _, l := range layouts {
		top, b := t.TempDir(), targettest.Bundle(t, "shop", 1, "shop.example.com")
		deliver(t, newTarget(t, Config{Dir: filepath.Join(top, "parsed"), Layout: l}), b)
		r, err := newTarget(t, Config{Dir: filepath.Join(top, "checked"), Layout: l}).DeliverChecked(t.Context(), []certfleet.Bundle{b})
		if err != nil || r[0].Err != nil || !r[0].Applied {
			t.Fatal(r, err)
		}
		one, two := read(t, filepath.Join(top, "parsed")), read(t, filepath.Join(top, "checked"))
		if len(one) == 0 || fmt.Sprint(one) != fmt.Sprint(two) {
			t.Errorf("%s: parsed %v, checked %v", l, one, two)
		}
	}
}

// read is every file of a folder and what is in it.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for p := range tree(t, dir) {
		if b, err := os.ReadFile(filepath.Join(dir, p)); err == nil {
			all[p] = string(b)
		}
	}
	return all
}
