package trial

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Daemon starts a program and ends it with the test: it is asked to end, and killed
// when it has not after the grace. The channel is closed when it has ended, also by
// itself. An error means that it could not be started.
func Daemon(t testing.TB, cmd *exec.Cmd, grace time.Duration) (<-chan struct{}, error) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(grace):
			cmd.Process.Kill()
			<-ended
		}
	})
	return ended, nil
}
