// Package redistest starts a real redis-server for tests, on loopback and in a
// temporary folder.
package redistest

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/trial"
)

// Server is a running redis-server.
type Server struct {
	Addr   string // 127.0.0.1:port
	Socket string
	t      testing.TB
	port   string
	args   []string
	cmd    *exec.Cmd
}

// FreePort is a port that nobody else gets while the test runs, as text.
func FreePort(t testing.TB) string {
	t.Helper()
	return strconv.Itoa(porttest.Port(t))
}

// Start runs a server with more arguments, such as "--requirepass", "x".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	trial.Program(t, "redis-server", "redis-server")
	s := &Server{t: t, args: args, port: FreePort(t), Socket: filepath.Join(t.TempDir(), "redis.sock")}
	s.Addr = "127.0.0.1:" + s.port
	s.Run()
	t.Cleanup(s.Stop)
	return s
}

// URL is the server's address with a database.
func (s *Server) URL(database int) string { return fmt.Sprintf("redis://%s/%d", s.Addr, database) }

// Run starts it, again after a Stop; it comes back empty.
func (s *Server) Run() {
	s.t.Helper()
	args := append([]string{"--port", s.port, "--bind", "127.0.0.1", "--unixsocket", s.Socket, "--save", "", "--appendonly", "no", "--dir", filepath.Dir(s.Socket), "--enable-debug-command", "yes"}, s.args...)
	s.cmd = exec.Command(trial.Program(s.t, "redis-server", "redis-server"), args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(trial.Patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", s.Socket)
		if err == nil {
			fmt.Fprint(c, "PING\r\n")
			c.SetReadDeadline(time.Now().Add(time.Second))
			b := make([]byte, 64)
			n, _ := c.Read(b)
			c.Close()
			if n > 0 && !strings.Contains(string(b[:n]), "LOADING") {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server did not start: %v", err)
		}
	}
}

// PID is the server's process, to pause it.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends it.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}
