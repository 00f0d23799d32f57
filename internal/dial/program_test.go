package dial

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

func TestProgramGetsInputAndNoSecretsOfOurs(t *testing.T) {
	t.Setenv("CERTFLEET_SEALING_KEY", "hunter2")
	out, err := Program{Argv: []string{"sh", "-c", "cat; env"}, Stdin: []byte("hello\n"), Env: map[string]string{"LINEAGE": "/x"}}.Run(t.Context())
	if err != nil || !strings.HasPrefix(string(out), "hello\n") || !strings.Contains(string(out), "LINEAGE=/x") || strings.Contains(string(out), "hunter2") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestProgramEndsWithItsChildren(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	start := time.Now()
	_, err := Program{Argv: []string{"sh", "-c", "sleep 60 & echo $! > " + pid + "; wait"}, Timeout: 2 * time.Second}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "ended after") || certfleet.AdviceOf(err) == "" || time.Since(start) > trial.Patience/2 {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	b, _ := os.ReadFile(pid)
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatalf("the child was not started: %v", err)
	}
	trial.Until(t, "the program's child ends", func() (bool, string) { return gone(child), strconv.Itoa(child) })
}

// gone counts a process that nobody has reaped yet as gone.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || (err == nil && strings.Contains(string(stat), ") Z "))
}

func TestProgramMayLeaveADaemonBehind(t *testing.T) {
	out, err := Program{Argv: []string{"sh", "-c", "sleep 3 & echo done"}}.Run(t.Context())
	if err != nil || string(out) != "done\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestProgramTellsHowItEnded(t *testing.T) {
	noexec := filepath.Join(t.TempDir(), "noexec")
	os.WriteFile(noexec, []byte("#!/bin/sh\n"), 0o600)
	for _, row := range []struct {
		argv []string
		want string
	}{
		{nil, "no program"},
		{[]string{"certfleet-no-such-program"}, "is not there"},
		{[]string{"/no/such/program"}, "is not there"},
		{[]string{noexec}, "may not be run"},
		{[]string{"sh", "-c", "yes x | head -c 100000 >&2; echo the end >&2; exit 3"}, "the end"},
	} {
		_, err := Program{Argv: row.argv}.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), row.want) || certfleet.AdviceOf(err) == "" || len(err.Error()) > 2*maxTail {
			t.Errorf("%q: got %v", row.argv, err)
		}
	}
}
