package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/trial"
)

// once runs the demo to its end and returns its rows by name.
func once(t *testing.T, o Options) (map[string]row, error) {
	t.Helper()
	var out bytes.Buffer
	o.Once, o.JSON, o.Out = true, true, &out
	err := Run(t.Context(), o)
	rows := map[string]row{}
	for dec := json.NewDecoder(&out); ; {
		var r row
		if e := dec.Decode(&r); e == io.EOF {
			return rows, err
		} else if e != nil {
			t.Fatalf("a line is not JSON: %v", e)
		}
		rows[r.Name] = r
	}
}

func checkServed(t *testing.T, rows map[string]row) {
	t.Helper()
	for _, w := range wishes {
		for _, name := range w.names {
			r, ok := rows[name]
			switch {
			case !ok:
				t.Errorf("%s has no line", name)
			case w.fails && (r.Served || r.State != "failed" || !strings.Contains(r.Problem, name)):
				t.Errorf("%s must fail and say why: %+v", name, r)
			case !w.fails && (!r.Served || r.State != "served" || r.Serial == "" || r.NotAfter == nil || !r.NotAfter.After(time.Now()) || r.Problem != ""):
				t.Errorf("%s is not served: %+v", name, r)
			}
			if ok && r.Certificate != w.names[0] {
				t.Errorf("%s belongs to %q, want %q", name, r.Certificate, w.names[0])
			}
		}
	}
}

func TestOnceServesEveryNameAndLeavesNothingRunning(t *testing.T) {
	before, dir := runtime.NumGoroutine(), t.TempDir()
	rows, err := once(t, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	checkServed(t, rows)
	for _, name := range []string{"certfleet.db", configFile, rootsFile, tokenFile, logFile, "sealing.key"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("left in the folder: %v", err)
		}
	}
	c, err := config.Load(filepath.Join(dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	if c.Probe.Roots != filepath.Join(dir, rootsFile) || len(c.DNS.Resolvers) != 1 || c.StateDir != dir {
		t.Errorf("the configuration does not lead to the demo: %+v", c)
	}
	for _, a := range []config.Address{c.Listen.API, c.Listen.HTTP01, c.Listen.TLSALPN01} {
		if conn, err := net.Dial("tcp", string(a)); err == nil {
			conn.Close()
			t.Errorf("somebody still listens at %s", a)
		}
	}
	const idle = 1 // Pebble's validator never ends
	for end := time.Now().Add(trial.Patience); runtime.NumGoroutine() > before+idle; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestOnceAgainInTheSameFolder(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	dir := t.TempDir()
	first, err := once(t, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	second, err := once(t, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	checkServed(t, second)
	for name, r := range second {
		if r.Served && r.Serial == first[name].Serial {
			t.Errorf("%s shows the certificate of the first run, whose CA is gone", name)
		}
	}
}

func TestOnceFailsWhenANameIsNotServed(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	const name = "secure.demo.test"
	rows, err := once(t, Options{within: 25 * time.Second, gone: map[string]bool{name: true}})
	if err == nil || !strings.Contains(err.Error(), name) || certfleet.AdviceOf(err) == "" {
		t.Fatalf("want an error with advice that names %s: %v", name, err)
	}
	if strings.Contains(err.Error(), "shop.demo.test") {
		t.Errorf("what is served is called missing: %v", err)
	}
	if r := rows[name]; r.Served || r.Problem == "" {
		t.Errorf("its line: %+v", r)
	}
}

func TestOnceEndedEarlyIsAnError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := Run(ctx, Options{Once: true}); err == nil {
		t.Fatal("a demo that was ended early says that all is well")
	}
}

// watched is output that a test may read while it is written.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

var renewed = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  (\S+) +renewed ([0-9a-f]+) → ([0-9a-f]+), seen with TLS 1\.3`)

func TestShortLivedCertificatesRenewUntilItIsEnded(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, ended := &watched{}, make(chan error, 1)
	go func() { ended <- Run(ctx, Options{Out: out, life: 8 * time.Second}) }()
	var m []string
	for end := time.Now().Add(trial.Patience); m == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nothing renewed:\n%s", out)
		}
		m = renewed.FindStringSubmatch(out.String())
	}
	if m[2] == m[3] {
		t.Errorf("%s renewed to the serial it had: %s", m[1], m[2])
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended by its operator: %v", err)
	}
	dir := regexp.MustCompile(`\S+certfleet-demo-\d+`).FindString(out.String())
	if _, err := os.Stat(dir); dir == "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary folder %q is left: %v", dir, err)
	}
	for _, want := range []string{"shop.demo.test", "the CA says: ", "advice: ", "curl --cacert", "The demo has ended"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in what was shown:\n%s", want, out)
		}
	}
}

func TestFoldersOfOthersAreRefused(t *testing.T) {
	managers := t.TempDir()
	if err := os.WriteFile(filepath.Join(managers, "certfleet.db"), []byte("a manager's"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := t.TempDir()
	h, err := openHome(taken)
	if err != nil {
		t.Fatal(err)
	}
	defer h.leave()
	for _, dir := range []string{managers, taken} {
		err := Run(t.Context(), Options{Once: true, Dir: dir})
		if certfleet.KindOf(err) != certfleet.Conflict || !strings.Contains(certfleet.AdviceOf(err), "--dir") {
			t.Errorf("in %s: %v", dir, err)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(managers, "certfleet.db")); string(b) != "a manager's" {
		t.Error("the manager's database was touched")
	}
}

func TestATerminalIsRedrawnInPlaceAndNeedsNoColour(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Once: true, Out: &out, Terminal: true}); err != nil {
		t.Fatal(err)
	}
	shown := out.String()
	if !strings.Contains(shown, fmt.Sprintf("\x1b[%dA", len(wishes))) {
		t.Error("the lines were never drawn anew in place")
	}
	if regexp.MustCompile("\x1b\\[[0-9;]*m").MatchString(shown) {
		t.Error("there are colours without Color")
	}
	if !strings.Contains(shown, "SERIAL") || strings.LastIndex(shown, "\x1b[") > strings.Index(shown, "SERIAL") {
		t.Error("the table does not stand below the last drawing")
	}
}
