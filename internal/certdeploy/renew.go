package certdeploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/certfleet/certfleet"
)

// maxSaid bounds what is kept of the end of a command's output, in bytes.
const maxSaid = 8 << 10

// tail keeps the end of what is written to it, and never blocks the writer.
type tail struct{ kept []byte }

// Write takes everything.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-maxSaid):]...)
	t.kept = append(t.kept[:0], t.kept[max(0, len(t.kept)-maxSaid):]...)
	return len(p), nil
}

// renewTimeout bounds a renewal when the configuration does not: certbot waits
// for DNS, and for a random while when no terminal is there.
const renewTimeout = 12 * time.Hour

// renewOnce runs the renew command to its end. Its output is read all the time,
// and at its timeout it ends with everything it started. certbot calls the hook,
// which queues.
func (c *serverConfig) renewOnce(ctx context.Context) (said string, err error) {
	if c.exec == "" {
		return "", invalid("install certbot, or set renew_exec", "Invalid value \"None\" for `renew_exec`. There is no certbot in the PATH.")
	}
	limit := c.renewTimeout
	if limit <= 0 {
		limit = renewTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := &tail{}
	cmd := exec.CommandContext(ctx, c.exec, c.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = withoutModes(os.Environ()), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a child that left the group may hold the pipe
	err = cmd.Run()
	said = strings.TrimSpace(strings.ToValidUTF8(string(out.kept), "?"))
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		return said, nil
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return said, &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("%s was ended after %s", c.exec, limit), Advice: "raise renew_timeout, or find out what keeps it", Err: err}
	case err != nil:
		return said, fmt.Errorf("%s: %w", c.exec, err)
	}
	return said, nil
}

// withoutModes leaves out what would make the hook a second daemon.
func withoutModes(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(modeVariables, name)
	})
}
