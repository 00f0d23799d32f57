package storetest

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/trial"
)

// Server is a PostgreSQL server of one test, which may stop it.
type Server struct{ s *server }

// keep starts the server anew whenever it ended, unless it is held, until its
// standard input closes.
const keep = `cd "$2"
(while [ ! -e end ]; do
	if [ -e held ]; then sleep 0.02; continue; fi
	"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB >>"$2/log" 2>&1
done) &
loop=$!
read -r _
: >end
kill -QUIT $(head -n 1 data/postmaster.pid)
wait $loop
cd /
rm -rf "$2"`

// OwnServer starts one. It skips the test as PostgresURL does.
func OwnServer(t testing.TB) *Server {
	t.Helper()
	if !trial.Real() {
		t.Skip("PostgreSQL is started only with CERTFLEET_REAL=1, as make test sets it")
	}
	s, err := newServer(keep)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() { s.hold.Close() })
	return &Server{s}
}

// URL is the address of its database postgres, which is empty.
func (o *Server) URL() string { return o.s.url("postgres") }

// Log is what the server has written so far.
func (o *Server) Log() string {
	b, _ := os.ReadFile(filepath.Join(o.s.dir, "log"))
	return string(b)
}

// Do runs one statement in the database postgres.
func (o *Server) Do(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	if err := o.s.do(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

// Restart ends the server, fast (connections are cut, all is written) or at once
// (as in a crash, which empties unlogged tables), and starts it after down.
func (o *Server) Restart(t testing.TB, atOnce bool, down time.Duration) {
	t.Helper()
	held, how := filepath.Join(o.s.dir, "held"), syscall.SIGINT
	if atOnce {
		how = syscall.SIGQUIT
	}
	if err := os.WriteFile(held, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	old := o.pid(t)
	if err := syscall.Kill(old, how); err != nil {
		t.Fatal(err)
	}
	trial.Until(t, "end the server", func() (bool, string) { return syscall.Kill(old, 0) != nil, "it runs" })
	time.Sleep(down)
	if err := os.Remove(held); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	if err := o.s.ready(ctx); err != nil {
		t.Fatal(err)
	}
}

func (o *Server) pid(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(o.s.dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
