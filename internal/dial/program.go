package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/certfleet/certfleet"
)

// Program is an operator's own program that the house calls.
type Program struct {
	// Argv is the program and its arguments; no shell reads it.
	Argv []string
	// Env is added to the few harmless variables that the program inherits.
	Env map[string]string
	// Stdin is given to it whole.
	Stdin []byte
	// Timeout ends it and everything it started; zero means RequestTimeout.
	Timeout time.Duration
}

// maxOutput bounds what is read of a program's output, and maxTail what of its
// complaints goes into an error, both in bytes.
const (
	maxOutput = 16 << 20
	maxTail   = 2 << 10
)

// inherited is what a program gets of our environment. The rest may hold
// secrets, such as the sealing key.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// Run runs the program to its end and answers what it wrote to standard output.
// Its error tells how it ended and the end of what it wrote to standard error.
func (p Program) Run(ctx context.Context) ([]byte, error) {
	if len(p.Argv) == 0 {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "no program is named", Advice: "give the program and its arguments as a list"}
	}
	limit := p.Timeout
	if limit <= 0 {
		limit = RequestTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, complaints := &window{max: maxOutput}, &window{max: maxTail, tail: true}
	cmd := p.command(ctx)
	cmd.Stdout, cmd.Stderr = out, complaints
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well and left a daemon that holds its output open
	}
	if err == nil && out.cut {
		err = fmt.Errorf("it wrote more than %d bytes", maxOutput)
	}
	if err != nil {
		return out.b, p.explain(ctx, err, limit, complaints)
	}
	return out.b, nil
}

func (p Program) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Argv[0], p.Argv[1:]...)
	cmd.Stdin, cmd.Env = bytes.NewReader(p.Stdin), p.environ()
	// Its own process group, so that its children end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a child that left the group may hold our pipes
	return cmd
}

func (p Program) environ() []string {
	var env []string
	for _, k := range inherited {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	for k, v := range p.Env {
		env = append(env, k+"="+v)
	}
	return env
}

func (p Program) explain(ctx context.Context, err error, limit time.Duration, complaints *window) error {
	e := &certfleet.Error{Kind: certfleet.Internal, Msg: fmt.Sprintf("program %q did not succeed", p.Argv[0]), Advice: "run the program by hand and correct what it says", Err: err}
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Msg, e.Advice = certfleet.NotFound, fmt.Sprintf("program %q is not there", p.Argv[0]), "install it, or name it by its full path"
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Msg, e.Advice = certfleet.Denied, fmt.Sprintf("program %q may not be run", p.Argv[0]), "make the file executable for the user that certfleet runs as"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Kind, e.Msg, e.Advice = certfleet.Unreachable, fmt.Sprintf("program %q was ended after %s", p.Argv[0], limit), "make it faster, or allow it more time"
	}
	if said := strings.TrimSpace(string(complaints.b)); said != "" {
		e.Msg += ": " + strings.ToValidUTF8(said, "?")
	}
	return e
}

// window keeps the first or the last max bytes of what is written to it.
type window struct {
	b    []byte
	max  int
	tail bool
	cut  bool
}

// Write never fails, so that the program is not stopped by what it says.
func (w *window) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	if len(w.b) <= w.max {
		return len(p), nil
	}
	w.cut = true
	if w.tail {
		w.b = append(w.b[:0], w.b[len(w.b)-w.max:]...)
	} else {
		w.b = w.b[:w.max]
	}
	return len(p), nil
}
