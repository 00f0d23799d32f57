package sftp

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/sftp/sshtest"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

// host is a machine to push to.
type host struct {
	port    int
	user    string
	key     string // file of the private key to log in with
	hostKey string
	folder  string // the one that Config.Path leads to
}

func (h host) config() Config {
	return Config{Host: "127.0.0.1", Port: h.port, User: h.user, Key: "file:" + h.key, HostKeys: []string{h.hostKey}, Path: h.folder, Timeout: certfleet.Duration(trial.Patience)}
}

func (h host) target(t testing.TB, change func(*Config)) *Target {
	t.Helper()
	c := h.config()
	if change != nil {
		change(&c)
	}
	target, err := New(c, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// sshd starts this machine's OpenSSH server for whoever runs the test.
func sshd(t testing.TB, keyKind string, more ...string) host {
	t.Helper()
	login, public := sshtest.KeyFile(t, "ed25519")
	s := sshtest.Serve(t, keyKind, public, more...)
	return host{port: s.Port, user: s.User, key: login, hostKey: s.HostKey, folder: filepath.Join(s.Dir, "certs")}
}

// ours starts our agent; live is where certificates go live.
func ours(t testing.TB, change func(*agent.Config)) (h host, live string) {
	t.Helper()
	dir := t.TempDir()
	hostFile, hostKey := sshtest.KeyFile(t, "ed25519")
	login, public := sshtest.KeyFile(t, "ed25519")
	c := agent.Config{Staging: filepath.Join(dir, "staging"), Dir: filepath.Join(dir, "certs"), SFTP: agent.SFTP{HostKeys: []string{hostFile}, AuthorizedKeys: []string{public}}}
	if change != nil {
		change(&c)
	}
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
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		a.Close()
	})
	return host{port: l.Addr().(*net.TCPAddr).Port, user: "certfleet", key: login, hostKey: hostKey, folder: c.Staging}, c.Dir
}

func readPair(dir string) (chain, key []byte, err error) {
	if chain, err = os.ReadFile(filepath.Join(dir, "fullchain.pem")); err == nil {
		key, err = os.ReadFile(filepath.Join(dir, "privkey.pem"))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	return chain, key, err
}

func lineageDir(t testing.TB, dir, certificate string) string {
	t.Helper()
	name, err := certfleet.LineageName(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func TestSuiteAtOpenSSH(t *testing.T) {
	t.Parallel()
	h := sshd(t, "ed25519")
	n := 0
	targettest.Run(t, func(t *testing.T) (certfleet.Target, targettest.Reader) {
		n++
		here := h
		here.folder = filepath.Join(h.folder, strconv.Itoa(n))
		return here.target(t, nil), func(c string) ([]byte, []byte, error) { return readPair(lineageDir(t, here.folder, c)) }
	})
}

func TestSuiteAtAgent(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) (certfleet.Target, targettest.Reader) {
		h, live := ours(t, nil)
		return h.target(t, nil), func(c string) ([]byte, []byte, error) { return readPair(lineageDir(t, filepath.Join(live, "live"), c)) }
	})
}
