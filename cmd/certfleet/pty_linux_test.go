package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// screen is what a terminal has shown so far.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	read int          // how much of it was waited for, guarded by mu
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// waits until words come after what was waited for before.
func (s *screen) waits(words string) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		at := strings.Index(s.text.String()[s.read:], words)
		if at >= 0 {
			s.read += at + len(words)
		}
		s.mu.Unlock()
		if at >= 0 {
			return nil
		}
	}
	return fmt.Errorf("%q did not come; the terminal shows:\n%s", words, s.all())
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.text.String(), "\r\n", "\n")
}

// talk runs a command on a terminal of its own and answers its questions as the
// dialogue says, in lines "? WORDS TO WAIT FOR" and "> ANSWER". What the terminal
// showed is in the file screen afterwards: talk DIALOGUE COMMAND...
func talk(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: talk DIALOGUE COMMAND...")
	}
	master, tty, err := openPTY()
	ts.Check(err)
	defer master.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(ts, args[1]), args[2:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	for _, name := range []string{"PATH", "HOME", "WORK", "CERTFLEET_CONFIG", "NO_COLOR", "TZ", "STATE", "CERTFLEET_TOKEN"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "TERM="+cmp.Or(ts.Getenv("TERM"), "dumb"))
	ts.Check(cmd.Start())
	tty.Close()
	seen, drained := &screen{}, make(chan struct{})
	go func() {
		defer close(drained)
		master.WriteTo(seen) // it ends with an error when the program has ended
	}()
	said := answer(ts.ReadFile(args[0]), master, seen)
	if said != nil {
		cancel()
	}
	ended := cmd.Wait()
	<-drained
	ts.Check(os.WriteFile(ts.MkAbs("screen"), []byte(seen.all()), 0o600))
	ts.Check(said)
	if (ended != nil) != neg {
		ts.Fatalf("%s ended with %v; the terminal shows:\n%s", args[1], ended, seen.all())
	}
}

func answer(dialogue string, to *os.File, seen *screen) error {
	for line := range strings.Lines(dialogue) {
		line = strings.TrimRight(line, "\n")
		if words, ok := strings.CutPrefix(line, "? "); ok {
			if err := seen.waits(words); err != nil {
				return err
			}
		} else if words, ok := strings.CutPrefix(line, ">"); ok {
			if _, err := to.WriteString(strings.TrimPrefix(words, " ") + "\n"); err != nil {
				return err
			}
		}
	}
	return nil
}

func program(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	ts.Fatalf("there is no program %s", name)
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// openPTY makes a pseudo-terminal.
func openPTY() (master, tty *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	if err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err == nil {
		var n int
		if n, err = unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN); err == nil {
			tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
		}
	}
	if err != nil {
		master.Close()
	}
	return master, tty, err
}
