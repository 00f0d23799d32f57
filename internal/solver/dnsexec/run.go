package dnsexec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

// The bounds of what a program may say and of its end.
const (
	maxOutput = 64 << 10 // bytes of standard output that are read
	maxTail   = 16 << 10 // bytes of standard error that are kept
	maxQuote  = 1 << 10  // bytes of them that an error quotes
	lastWords = 2 * time.Second
)

// ask is what the program is told, answer what it may say.
type ask struct {
	Action string `json:"action"`
	Name   string `json:"name"`
	Record string `json:"record"`
	Value  string `json:"value"`
	State  string `json:"state,omitempty"`
}

type answer struct {
	State string `json:"state"`
	Ready *bool  `json:"ready"`
	Seen  string `json:"seen"`
}

// failure is a run that did not end with status 0.
type failure struct {
	status int // of exit, -1 when it was killed or never began
	said   string
	cause  error
}

func (f *failure) Error() string {
	if f.said == "" {
		return f.cause.Error()
	}
	return fmt.Sprintf("%v: %s", f.cause, f.said)
}

// run runs the program once.
func (s *Solver) run(ctx context.Context, a ask) (answer, error) {
	out, fail, err := s.start(ctx, a)
	if err != nil {
		return answer{}, err
	}
	if fail != nil {
		return answer{}, s.explain(a, fail)
	}
	return read(out), nil
}

func (s *Solver) explain(a ask, fail *failure) error {
	return &certfleet.Error{
		Kind:   certfleet.Unreachable,
		Msg:    fmt.Sprintf("run solver program %q to %s the record for %s", s.config.Command[0], a.Action, a.Name),
		Advice: "run the program by hand with the same CERTFLEET_ variables, and correct what it says",
		Err:    fail,
	}
}

// askReady takes exit status 1 for "not yet" and any other for a failure.
func (s *Solver) askReady(ctx context.Context, a ask) (bool, string, error) {
	out, fail, err := s.start(ctx, a)
	switch {
	case err != nil:
		return false, "", err
	case fail != nil && fail.status == 1:
		return false, "the program says not yet: " + fail.said, nil
	case fail != nil:
		return false, "", s.explain(a, fail)
	}
	said := read(out)
	if said.Seen == "" {
		said.Seen = "the program gave no details"
	}
	return said.Ready == nil || *said.Ready, said.Seen, nil
}

// start runs the program to its end, or until its time is up.
func (s *Solver) start(ctx context.Context, a ask) ([]byte, *failure, error) {
	env, hide, err := s.environment(a)
	if err != nil {
		return nil, nil, err
	}
	line, err := json.Marshal(a)
	if err != nil {
		return nil, nil, fmt.Errorf("write the program's input: %w", err)
	}
	limit := time.Duration(s.config.Timeout)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, tail := &head{max: maxOutput}, &tail{max: maxTail}
	cmd := exec.CommandContext(ctx, s.config.Command[0], s.config.Command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, bytes.NewReader(append(line, '\n')), out, tail
	inOwnGroup(cmd)
	err = cmd.Run()
	if err == nil {
		return out.b, nil, nil
	}
	fail := &failure{status: -1, said: quote(hide.Replace(string(tail.b))), cause: err}
	if ctx.Err() != nil {
		fail.cause = fmt.Errorf("stopped after %v: %w", limit, context.Cause(ctx))
	} else if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		fail.status = exit.ExitCode()
	}
	return nil, fail, nil
}

// inOwnGroup makes the program and all that it starts one process group, which
// is killed whole.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lastWords // for pipes that a grandchild keeps open
}

// environment never passes ours on whole: the sealing key may stand there.
// Hide takes the secrets out of what the program says.
func (s *Solver) environment(a ask) (env []string, hide *strings.Replacer, err error) {
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	var pairs []string
	for name, ref := range s.config.Env {
		secret, err := dial.Reference(ref)
		if err != nil {
			return nil, nil, fmt.Errorf("open %s for the solver program: %w", name, err)
		}
		env = append(env, name+"="+string(secret))
		pairs = append(pairs, string(secret), "["+name+"]")
	}
	return append(env, "CERTFLEET_ACTION="+a.Action, "CERTFLEET_NAME="+a.Name, "CERTFLEET_RECORD="+a.Record,
		"CERTFLEET_VALUE="+a.Value, "CERTFLEET_STATE="+a.State), strings.NewReplacer(pairs...), nil
}

// read finds the answer in the last line, if that is one; programs chat.
func read(out []byte) answer {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var a answer
	if json.Unmarshal(lines[len(lines)-1], &a) != nil {
		return answer{}
	}
	return a
}

// head keeps the beginning of what is written, tail the end.
type head struct {
	b   []byte
	max int
}

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), h.max-len(h.b))]...)
	return len(p), nil
}

type tail struct {
	b   []byte
	max int
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-t.max):]
	return len(p), nil
}

// quote puts the end of s on one line. It comes after the secrets were taken
// out, so that none is cut in two or wrapped and missed.
func quote(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	return strings.ToValidUTF8(s[max(0, len(s)-maxQuote):], "")
}
