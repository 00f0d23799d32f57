package lego

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/certfleet/certfleet"
)

// The bounds of a child's life.
const (
	helloTimeout = 20 * time.Second
	partTimeout  = 30 * time.Second // to clean up and exit once its input ended
	idleTime     = 5 * time.Minute
	lastWords    = 2 * time.Second
	maxLine      = 1 << 20 // bytes of one answer
)

// child is one running certfleet-dns.
type child struct {
	cmd       *exec.Cmd
	in        io.WriteCloser
	answers   chan response // closed when its output ends
	exited    chan struct{} // closed once it was waited for
	stderr    *tail
	hide      *strings.Replacer
	lastID    uint64
	presented map[string]bool // by key of the challenge
}

func key(c certfleet.Challenge) string { return c.Name.Base() + " " + c.Token + " " + c.KeyAuth }

// start runs a child and hears its hello.
func (s *Solver) start(ctx context.Context) (*child, error) {
	env, hide, err := s.environment()
	if err != nil {
		return nil, err
	}
	args := []string{"serve", s.config.Provider}
	if servers := s.config.DNS.Resolvers; len(servers) > 0 {
		args = append(args, "--resolvers", strings.Join(servers, ","))
	}
	c := &child{cmd: exec.Command(s.program, args...), answers: make(chan response), exited: make(chan struct{}), stderr: &tail{max: maxTail}, hide: hide, presented: map[string]bool{}}
	c.cmd.Env, c.cmd.Stderr = env, c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.WaitDelay = lastWords
	if err := c.begin(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.program, err)
	}
	if err := c.greet(ctx, s.config.Provider); err != nil {
		c.kill()
		return nil, c.explain(fmt.Sprintf("start %s for provider %s", s.program, s.config.Provider), err)
	}
	s.log.Debug("dns child started", "provider", s.config.Provider, "pid", c.cmd.Process.Pid)
	return c, nil
}

// begin starts the process and the one goroutine that reads it to its end.
func (c *child) begin() error {
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.in = in
	go func() {
		defer close(c.exited)
		c.read(out)
		c.cmd.Wait()
	}()
	return nil
}

// read passes answers on until the output ends. Whoever waits for one is always
// there to take it, or has killed the child.
func (c *child) read(out io.Reader) {
	defer close(c.answers)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var r response
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			r = response{Error: "the child printed something else than JSON"}
		}
		select {
		case c.answers <- r:
		case <-time.After(partTimeout): // nobody asked
			c.signal()
			return
		}
	}
}

func (c *child) greet(ctx context.Context, provider string) error {
	r, err := c.next(ctx, helloTimeout)
	switch {
	case err != nil:
		return err
	case r.Error != "":
		return errors.New(r.Error)
	case r.Hello == nil || r.Hello.Protocol != protocol || r.Hello.Provider != provider:
		return fmt.Errorf("it does not speak protocol %d for %s", protocol, provider)
	}
	return nil
}

var errGone = errors.New("the child ended")

func (c *child) next(ctx context.Context, limit time.Duration) (response, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case r, ok := <-c.answers:
		if !ok {
			return r, errGone
		}
		return r, nil
	case <-t.C:
		return response{}, fmt.Errorf("no answer within %v", limit)
	case <-ctx.Done():
		return response{}, ctx.Err()
	}
}

// explain is err with the child's last words and without its credentials.
func (c *child) explain(doing string, err error) error {
	said := quote(c.hide.Replace(c.stderr.text()))
	if said != "" && errors.Is(err, errGone) {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return &certfleet.Error{
		Kind:   certfleet.Unreachable,
		Msg:    doing + ": " + quote(c.hide.Replace(err.Error())),
		Advice: "run certfleet-dns help with the provider's name for the variables it wants, and see what its account allows",
	}
}

// part ends the input, gives the child time to clean up after itself, and
// kills what is left.
func (c *child) part() {
	c.in.Close()
	t := time.AfterFunc(partTimeout, c.signal)
	defer t.Stop()
	c.drain()
}

// kill ends the child and all that it started, at once.
func (c *child) kill() {
	c.signal()
	c.in.Close()
	c.drain()
}

// signal kills the child's group, unless its number may be another's by now.
func (c *child) signal() {
	if !c.gone() {
		syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func (c *child) drain() {
	for range c.answers {
	}
	<-c.exited
}

// gone reports whether the child has ended by itself.
func (c *child) gone() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// tail keeps the end of what is written.
type tail struct {
	max int
	mu  sync.Mutex
	b   []byte // guarded by mu
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-t.max):]
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
