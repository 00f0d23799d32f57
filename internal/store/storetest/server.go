package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// startTimeout bounds initdb and the start of the server together.
const startTimeout = 60 * time.Second

// errNotInstalled says that there is no PostgreSQL on this machine.
var errNotInstalled = errors.New("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin/initdb")

// server is a throw-away PostgreSQL that listens on a socket in its own folder.
type server struct {
	dir  string
	bin  string
	as   *syscall.Credential // nil to run as ourselves
	hold io.WriteCloser      // the server ends when this closes, at the latest with our process
}

// watch runs the server until its standard input closes, which the kernel does
// even when the test process is killed hard, and then takes the folder away.
const watch = `"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_wal_size=128MB \
	-c max_connections=300 -c shared_buffers=64MB >"$2/log" 2>&1 &
pid=$!
read -r _
kill -QUIT $pid
wait $pid
cd /
rm -rf "$2"`

func startServer() (*server, error) { return newServer(watch) }

// newServer makes a server that the script runs.
func newServer(script string) (*server, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, errNotInstalled
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s := &server{bin: filepath.Dir(found[len(found)-1])}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	initdb := s.command(exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", s.dir+"/data", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C",
		"--locale-provider=icu", "--icu-locale=en-US")) // sorts as servers in the field do, not by byte
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(s.dir))
	}
	if err := s.run(script); err != nil {
		return nil, err
	}
	return s, s.ready(ctx)
}

// enough is what a server and the databases of a package take at most, in bytes.
const enough = 1 << 30

// roomy is memory where there is enough of it, because every database that is made
// writes ten megabytes; else where temporary files go.
func roomy() string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err != nil || uint64(fs.Bavail)*uint64(fs.Bsize) < enough {
		return ""
	}
	return memory
}

// makeDir makes the folder, which is the user postgres's when we are root,
// because PostgreSQL refuses to run as root.
func (s *server) makeDir() (err error) {
	if s.dir, err = os.MkdirTemp(roomy(), "certfleet-pg"); err != nil || os.Getuid() != 0 {
		return err
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, uid, gid)
}

// command gives c the server's user and folder, and a session of its own so
// that an interrupt meant for the tests does not reach it.
func (s *server) command(c *exec.Cmd) *exec.Cmd {
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setsid: true}
	return c
}

func (s *server) run(script string) (err error) {
	c := s.command(exec.Command("/bin/sh", "-c", script, "sh", s.bin, s.dir))
	if s.hold, err = c.StdinPipe(); err != nil {
		return err
	}
	return c.Start()
}

func (s *server) url(database string) string {
	return "postgres://postgres@/" + database + "?host=" + s.dir
}

// ready waits until the server answers.
func (s *server) ready(ctx context.Context) error {
	for {
		err := s.do(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.hold.Close()
			return fmt.Errorf("wait for PostgreSQL: %w: %s", err, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// do runs one statement in the database postgres.
func (s *server) do(ctx context.Context, statement string) error {
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}
