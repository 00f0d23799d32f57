package certdeploy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/target/sftp/sshtest"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestMain lets the test binary be each of the two programs.
func TestMain(m *testing.M) {
	switch os.Getenv("CERTFLEET_TEST_CERTDEPLOY") {
	case "server":
		os.Exit(ServerMain(os.Args[1:], os.Stdout, os.Stderr))
	case "client":
		os.Exit(ClientMain(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(trial.Run(m))
}

// program is one of the programs as a process, without what the environment of
// whoever runs the test says.
func program(t testing.TB, which string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "CERTDEP") && !strings.HasPrefix(kv, "RENEWED") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(append(cmd.Env, "CERTFLEET_TEST_CERTDEPLOY="+which), env...)
	return cmd
}

// run is a program's whole run.
func run(t testing.TB, which string, env []string, args ...string) (out string, status int) {
	t.Helper()
	cmd := program(t, which, env, args...)
	b, _ := cmd.CombinedOutput()
	return string(b), cmd.ProcessState.ExitCode()
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// keyFile writes a new private key and answers its file and public line.
func keyFile(t testing.TB) (file, public string) { t.Helper(); return sshtest.KeyFile(t, "ed25519") }

var authority = sync.OnceValues(func() (*pki.CA, error) { return pki.NewCA("certdeploy", time.Now()) })

// issue makes the files of a certificate.
func issue(t testing.TB, names ...string) map[string][]byte {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.IssueServer(names, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	files, err := lineage.Split(certfleet.Bundle{ChainPEM: issued.ChainPEM, KeyPEM: issued.KeyPEM})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// renewed writes a lineage as certbot does, links and all.
func renewed(t testing.TB, live, name string) (dir string, files map[string][]byte) {
	t.Helper()
	files = issue(t, name, "www."+name)
	dir, archive := filepath.Join(live, name), filepath.Join(filepath.Dir(live), "archive", name)
	for _, d := range []string{dir, archive} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for f, b := range files {
		to := filepath.Join(archive, strconv.FormatInt(time.Now().UnixNano(), 10)+f)
		os.Remove(filepath.Join(dir, f))
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

// host is a machine that is pushed to.
type host struct {
	port    int
	user    string
	hostKey string
	path    string // what is staged there
}

// ours starts certfleet's agent, into which public may push.
func ours(t testing.TB, public string) (h host, live string) {
	t.Helper()
	dir := t.TempDir()
	hostFile, hostKey := keyFile(t)
	c := agent.Config{Staging: filepath.Join(dir, "staging"), Dir: filepath.Join(dir, "certs"), SFTP: agent.SFTP{User: "certdeploy", HostKeys: []string{hostFile}, AuthorizedKeys: []string{public}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, l) }()
	t.Cleanup(func() { stop(); <-done; a.Close() })
	return host{l.Addr().(*net.TCPAddr).Port, "certdeploy", hostKey, c.Staging}, filepath.Join(c.Dir, "live")
}

// sshd starts this machine's OpenSSH server.
func sshd(t testing.TB, public string) host {
	t.Helper()
	s := sshtest.Serve(t, "ed25519", public)
	return host{s.Port, s.User, s.HostKey, filepath.Join(s.Dir, "staging")}
}

func (h host) entry(domains string, more ...string) string {
	text := fmt.Sprintf("  - address: 127.0.0.1\n    port: %d\n    username: %s\n    pubkey: %s\n    path: %s\n    domains: [%s]\n", h.port, h.user, h.hostKey, h.path, domains)
	for _, m := range more {
		text += "    " + m + "\n"
	}
	return text
}

// nobody is a host that refuses connections.
func nobody(t testing.TB) host {
	_, hostKey := keyFile(t)
	return host{porttest.Port(t), "certdeploy", hostKey, "/nowhere"}
}

// site is a server's configuration and its folders.
type site struct {
	testing.TB
	dir, file, live, queue string
	public                 string // of the key it logs in with
	key                    string
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{TB: t, dir: t.TempDir()}
	s.key, s.public = keyFile(t)
	s.file, s.live, s.queue = filepath.Join(s.dir, "server.yml"), filepath.Join(s.dir, "live"), filepath.Join(s.dir, "queue")
	for _, d := range []string{s.live, s.queue} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *site) configure(clients string, more ...string) {
	s.Helper()
	text := "privkey_filename: " + s.key + "\nqueue_dir: " + s.queue + "\nclient_configs:\n" + clients + strings.Join(more, "\n") + "\n"
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// server runs certdeploy-server as certbot would call its hook, or with options.
func (s *site) server(env []string, args ...string) (out string, status int) {
	s.Helper()
	return run(s, "server", env, append([]string{"--config", s.file}, args...)...)
}

// waiting are the lineages in the queue.
func (s *site) waiting() (names []string) {
	s.Helper()
	q, err := openQueue(s.Context(), s.queue)
	if err != nil {
		s.Fatal(err)
	}
	defer q.close()
	jobs, err := q.all(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	for _, j := range jobs {
		names = append(names, filepath.Base(j.lineage))
	}
	return names
}

func hookEnv(lineage, domains string) []string {
	return []string{"RENEWED_LINEAGE=" + lineage, "RENEWED_DOMAINS=" + domains}
}

func holds(t testing.TB, dir string, want map[string][]byte, names ...string) {
	t.Helper()
	for _, f := range names {
		if b, err := os.ReadFile(filepath.Join(dir, f)); err != nil || !bytes.Equal(b, want[f]) {
			t.Errorf("%s: %s is another, or not there: %v", dir, f, err)
		}
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != len(names) {
		t.Errorf("%s holds %v, want %v", dir, entries, names)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	trial.Until(t, what, func() (bool, string) { return ok(), "" })
}
