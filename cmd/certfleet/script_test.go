package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"certfleet": main, "certdeploy-server": main, "certdeploy-client": main, "certdeploy-hook": main})
}

// TestScripts runs the real program as a person would, story by story. A script
// has its own folder, ports and configuration path.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition:           holds,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pebble": startPebble, "listens": listens, "jsonlines": jsonLines, "setenv": setFromFile, "mode": mode, "until": until, "signal": signal,
			"sshkey": sshKey, "lineage": writeLineage, "fill": fill, "minnow": writeMinnow,
			"talk": talk, "crash": crash, "nowhere": nowhere, "fetch": fetch, "edge": startEdge,
		},
	})
}

// holds answers the conditions of scripts: full, where all is asked for, and
// program:NAME. Where real programs are asked for, each counts as installed, so that
// its story fails and is not passed by.
func holds(cond string) (bool, error) {
	if cond == "full" {
		return trial.Full(), nil
	}
	name, ok := strings.CutPrefix(cond, "program:")
	if !ok {
		return false, fmt.Errorf("condition %q is not known", cond)
	}
	_, err := exec.LookPath(name)
	return err == nil || trial.Real(), nil
}

func setup(e *testscript.Env) error {
	for _, name := range []string{"API", "HTTP01", "TLSALPN01"} {
		port, giveBack, err := porttest.Take()
		if err != nil {
			return err
		}
		e.Defer(giveBack)
		e.Setenv(name, "127.0.0.1:"+strconv.Itoa(port))
	}
	e.Setenv("CERTFLEET_CONFIG", e.WorkDir+"/certfleet.yaml")
	e.Setenv("STATE", e.WorkDir+"/state")
	e.Setenv("NO_COLOR", "1")
	e.Setenv("TZ", "UTC")
	e.Values[trapKey{}] = &trap{}
	return nil
}

// startPebble starts a CA that validates at $HTTP01 and $TLSALPN01, and tells
// $DIRECTORY and $TRUST. Its words are names that it refuses.
func startPebble(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("pebble cannot be negated")
	}
	ca, err := pebble.Start(pebble.Options{HTTPPort: port(ts, "HTTP01"), TLSPort: port(ts, "TLSALPN01"), Blocked: args, AlternateRoots: 1, Wrap: trapOf(ts).around})
	ts.Check(err)
	ts.Defer(func() { ca.Close() })
	trust := ts.MkAbs("pebble.pem")
	ts.Check(os.WriteFile(trust, ca.TrustPEM, 0o644))
	ts.Setenv("DIRECTORY", ca.DirectoryURL)
	ts.Setenv("TRUST", trust)
}

func port(ts *testscript.TestScript, name string) int {
	_, p, err := net.SplitHostPort(ts.Getenv(name))
	ts.Check(err)
	n, err := strconv.Atoi(p)
	ts.Check(err)
	return n
}

// patience bounds whatever a script waits for.
const patience = trial.Patience

// listens waits until somebody listens at each address; negated, until nobody does.
func listens(ts *testscript.TestScript, neg bool, args []string) {
	for _, addr := range args {
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			conn, err := net.DialTimeout("tcp", addr, time.Second)
			if err == nil {
				conn.Close()
			}
			if (err == nil) != neg {
				break
			}
			if time.Now().After(end) {
				ts.Fatalf("waited for %s: %v", addr, err)
			}
		}
	}
}

// until runs a command again and again until its output holds the first word.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until WORD COMMAND...")
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		ts.Exec(args[1], args[2:]...) // its failure shows in what it did not write
		if strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%q did not come; last:\n%s%s", args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
}

// jsonlines checks that every line of a file is JSON, and that there is one
// unless it is called with the word empty.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: jsonlines FILE [empty]")
	}
	text := strings.TrimSpace(ts.ReadFile(args[0]))
	if text == "" && len(args) == 1 {
		ts.Fatalf("%s is empty", args[0])
	}
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) {
			ts.Fatalf("this is not JSON: %s", line)
		}
	}
}

// setenv sets a variable to the last word of a file's line that holds a mark:
// setenv NAME FILE MARK.
func setFromFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: setenv NAME FILE MARK")
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		if words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" =\n\"{},:", r) }); strings.Contains(line, args[2]) && len(words) > 0 {
			ts.Setenv(args[0], words[len(words)-1])
			return
		}
	}
	ts.Fatalf("%s has no line with %q", args[1], args[2])
}

// signal sends HUP, TERM or KILL to what runs in the background.
func signal(ts *testscript.TestScript, neg bool, args []string) {
	known := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	if neg || len(args) != 1 || known[args[0]] == nil {
		ts.Fatalf("usage: signal HUP|TERM|KILL")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(known[args[0]]))
	}
}

// mode checks the permission bits of files: mode 0600 FILE...
func mode(ts *testscript.TestScript, neg bool, args []string) {
	for _, f := range args[1:] {
		info, err := os.Stat(ts.MkAbs(f))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); (got == args[0]) == neg {
			ts.Fatalf("%s has mode %s", f, got)
		}
	}
}
