package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestASyncKilledBetweenStagingAndLiveConverges kills the program while it brings
// many pairs to live, and while services are told. What is live is whole, and the
// next run brings the rest and owes no service anything.
func TestASyncKilledBetweenStagingAndLiveConverges(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	const many = 120
	calls := filepath.Join(t.TempDir(), "calls")
	// While CALLS.slow is there the service takes its time, and hears nothing.
	script := `touch CALLS.began; test ! -e CALLS.slow || { while test -e CALLS.slow; do sleep 0.05; done; exit 1; }; echo $CERTFLEET_CERTIFICATES >> CALLS`
	slow := "updaters:\n  web:\n    type: script\n    command: [sh, -c, '" + strings.ReplaceAll(script, "CALLS", calls) + "']\n"
	k := newKit(t, nil)
	k.Close() // the program has the folder
	file := k.write("127.0.0.1:0", slow)
	all := func(version int) (pairs []map[string][]byte) {
		for i := range many {
			pairs = append(pairs, pair(t, time.Duration(version)*time.Hour, fmt.Sprintf("site%03d.example", i)))
			k.stage(fmt.Sprintf("site%03d", i), pairs[i])
		}
		return pairs
	}
	sync := func() {
		t.Helper()
		if out, err := agentProgram(t, "--config "+file+" sync").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	was := all(1)
	sync()
	version := 1
	for what, when := range map[string]func(next []map[string][]byte) bool{
		"the first pair is live": func(next []map[string][]byte) bool { return k.count(next) > 0 },
		"half of them are live":  func(next []map[string][]byte) bool { return k.count(next) > many/2 },
		"services are told": func([]map[string][]byte) bool {
			_, err := os.Stat(calls + ".began")
			return err == nil
		},
	} {
		t.Run("when "+what, func(t *testing.T) {
			version++
			os.Remove(calls)
			os.Remove(calls + ".began")
			os.WriteFile(calls+".slow", nil, 0o600)
			next := all(version)
			cmd := agentProgram(t, "--config "+file+" sync")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(trial.Patience); !when(next) && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			cmd.Process.Kill()
			cmd.Wait()
			n, old := k.count(next), k.count(was)
			if n == 0 || n+old != many {
				t.Errorf("%d new and %d old pairs are live, want %d together", n, old, many)
			}
			os.Remove(calls + ".slow")
			sync()
			if n := k.count(next); n != many {
				t.Errorf("after the next run %d of %d are live", n, many)
			}
			told := strings.Join(lines(t, calls), " ")
			for i := range many {
				if !strings.Contains(told, fmt.Sprintf("site%03d", i)) {
					t.Errorf("no service was told of site%03d", i)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(k.c.Staging, "site*")); len(left) > 0 {
				t.Errorf("staging still holds %v", left)
			}
			was = next
			t.Logf("it was killed with %d new pairs live", n)
		})
	}
}

// count checks that all that is live is whole, and counts what is of pairs.
func (k *kit) count(pairs []map[string][]byte) (n int) {
	k.Helper()
	for i, p := range pairs {
		chain, key := k.Agent.read(fmt.Sprintf("site%03d", i))
		if _, _, err := pki.ParsePair(chain, key); err != nil {
			k.Errorf("site%03d is no whole pair: %v", i, err)
		}
		if bytes.Equal(chain, p[lineage.FullChain]) && bytes.Equal(key, p[lineage.PrivKey]) {
			n++
		}
	}
	return n
}
