package agent

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/target/sftp/sshtest"
	"github.com/certfleet/certfleet/internal/trial"
)

// kit is an agent in folders of its own.
type kit struct {
	testing.TB
	*Agent
	login ssh.Signer
	host  ssh.Signer
	addr  string
	log   *logBuffer
}

// logBuffer is what the agent logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newKit(t testing.TB, change func(*Config)) *kit {
	t.Helper()
	dir := t.TempDir()
	k := &kit{TB: t, log: &logBuffer{}}
	var hostText []byte
	k.host, hostText = sshtest.Key(t, "ed25519")
	k.login, _ = sshtest.Key(t, "ed25519")
	hostFile := filepath.Join(dir, "host_key")
	if err := os.WriteFile(hostFile, hostText, 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Staging: filepath.Join(dir, "staging"), Dir: filepath.Join(dir, "certs"),
		SFTP: SFTP{HostKeys: []string{hostFile}, AuthorizedKeys: []string{string(ssh.MarshalAuthorizedKey(k.login.PublicKey()))}}}
	if change != nil {
		change(&c)
	}
	k.open(c)
	return k
}

func (k *kit) open(c Config) {
	k.Helper()
	a, err := New(c, slog.New(slog.NewTextHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		k.Fatal(err)
	}
	k.Agent = a
	k.Cleanup(func() { a.Close() })
}

// run starts the daemon and answers what stops it.
func (k *kit) run() (stop func()) {
	k.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		k.Fatal(err)
	}
	k.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			k.Error(err)
		}
	})
	k.Cleanup(stop)
	return stop
}

func (k *kit) dialAs(user string, key ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", k.addr, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(k.host.PublicKey()), Timeout: trial.Patience})
}

func (k *kit) client() (*ssh.Client, *sftp.Client) {
	k.Helper()
	conn, err := k.dialAs("certfleet", k.login)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { conn.Close() })
	c, err := sftp.NewClient(conn)
	if err != nil {
		k.Fatal(err)
	}
	return conn, c
}

func put(c *sftp.Client, name string, data []byte) error {
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

var authority = sync.OnceValues(func() (*pki.CA, error) { return pki.NewCA("agent", time.Now()) })

// pair makes the files of a certificate that ends after life.
func pair(t testing.TB, life time.Duration, names ...string) map[string][]byte {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.IssueServer(names, life, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	files, err := lineage.Split(certfleet.Bundle{ChainPEM: issued.ChainPEM, KeyPEM: issued.KeyPEM})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// stage lays files into staging as somebody else would, long ago enough.
func (k *kit) stage(name string, files map[string][]byte, only ...string) {
	k.Helper()
	dir := filepath.Join(k.c.Staging, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		k.Fatal(err)
	}
	for f, b := range files {
		if len(only) > 0 && !contains(only, f) {
			continue
		}
		file := filepath.Join(dir, f)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			k.Fatal(err)
		}
		then := time.Now().Add(-time.Minute)
		os.Chtimes(file, then, then)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (k *kit) sync() Report {
	k.Helper()
	r, err := k.Sync(k.Context())
	if err != nil {
		k.Fatal(err)
	}
	return r
}

// serves checks that exactly these files are live under the label.
func (k *kit) serves(label string, want map[string][]byte) {
	k.Helper()
	chain, key := k.Agent.read(label)
	if !bytes.Equal(chain, want[lineage.FullChain]) || !bytes.Equal(key, want[lineage.PrivKey]) {
		k.Errorf("%s: live is another pair, or none (%d and %d bytes)", label, len(chain), len(key))
	}
}

func (k *kit) eventually(what string, ok func() bool) {
	k.Helper()
	trial.Until(k.TB, what, func() (bool, string) { return ok(), k.log.String() })
}

// settings are updaters in YAML.
func settings(t testing.TB, text string) config.Sections {
	t.Helper()
	c, err := Parse([]byte(text), "test")
	if err != nil {
		t.Fatal(err)
	}
	return c.Updaters
}

func refused(t testing.TB, err error, kind certfleet.Kind) {
	t.Helper()
	if err == nil || certfleet.KindOf(err) != kind || certfleet.AdviceOf(err) == "" {
		t.Errorf("got %v (kind %v, advice %q), want kind %v with advice", err, certfleet.KindOf(err), certfleet.AdviceOf(err), kind)
	}
}
