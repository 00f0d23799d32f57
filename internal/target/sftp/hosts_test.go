package sftp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

// keyFile writes a new private key and answers its file and public line.
func keyFile(t testing.TB, kind string) (file, public string) {
	t.Helper()
	var key any
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "test")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key_"+kind)
	text := pem.EncodeToMemory(block)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return file, string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// host is a machine to push to.
type host struct {
	port    int
	user    string
	key     string // file of the private key to log in with
	hostKey string
	folder  string // the one that Config.Path leads to
}

func (h host) config() Config {
	return Config{Host: "127.0.0.1", Port: h.port, User: h.user, Key: "file:" + h.key, HostKeys: []string{h.hostKey}, Path: h.folder, Timeout: certfleet.Duration(10 * time.Second)}
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

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// sshd starts this machine's OpenSSH server for whoever runs the test.
func sshd(t testing.TB, keyKind string, more ...string) host {
	t.Helper()
	trial.Program(t, "sshd", "openssh-server")
	if os.Getuid() == 0 {
		os.MkdirAll("/run/sshd", 0o755) // where it separates privileges
	}
	dir := t.TempDir()
	hostFile, hostKey := keyFile(t, keyKind)
	login, public := keyFile(t, "ed25519")
	h := host{port: freePort(t), user: userName(t), key: login, hostKey: hostKey, folder: filepath.Join(dir, "certs")}
	conf := fmt.Sprintf("ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nPidFile none\nAuthorizedKeysFile %s/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n", h.port, hostFile, dir)
	for _, line := range more {
		conf += line + "\n"
	}
	os.WriteFile(filepath.Join(dir, "authorized"), []byte(public+"\n"), 0o600)
	os.WriteFile(filepath.Join(dir, "sshd_config"), []byte(conf), 0o600)
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("sshd says:\n%s", out)
		}
	})
	await(t, h.port)
	return h
}

func userName(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out))
}

func await(t testing.TB, port int) {
	t.Helper()
	for range 200 {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the server does not listen")
}

// ours starts our agent; live is where certificates go live.
func ours(t testing.TB, change func(*agent.Config)) (h host, live string) {
	t.Helper()
	dir := t.TempDir()
	hostFile, hostKey := keyFile(t, "ed25519")
	login, public := keyFile(t, "ed25519")
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
