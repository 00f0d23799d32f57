// Package sshtest gives tests keys of SSH, and this machine's OpenSSH server on
// loopback for whoever runs the test.
package sshtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/trial"
)

// Key is a new private key of a kind: ed25519, ecdsa or rsa.
func Key(t testing.TB, kind string) (signer ssh.Signer, private []byte) {
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
	if signer, err = ssh.NewSignerFromKey(key); err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// KeyFile writes a new private key and answers its file and public line.
func KeyFile(t testing.TB, kind string) (file, public string) {
	t.Helper()
	signer, private := Key(t, kind)
	file = filepath.Join(t.TempDir(), "key_"+kind)
	if err := os.WriteFile(file, private, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, Line(signer.PublicKey())
}

// Line is a public key as it stands in authorized_keys, without the end of the line.
func Line(public ssh.PublicKey) string {
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(public)))
}

// Server is a running sshd.
type Server struct {
	Port    int
	User    string // who runs the test
	HostKey string // its public line
	Dir     string // a folder of its own
}

// Serve starts OpenSSH's server with a host key of a kind, into which public may
// log in; more are lines of its configuration. It skips the test where there is none.
func Serve(t testing.TB, kind, public string, more ...string) Server {
	t.Helper()
	program := trial.Program(t, "sshd", "openssh-server")
	if os.Getuid() == 0 {
		os.MkdirAll("/run/sshd", 0o755) // where it separates privileges
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := Server{Port: porttest.Port(t), User: me.Username, Dir: t.TempDir()}
	var hostFile string
	hostFile, s.HostKey = KeyFile(t, kind)
	conf := fmt.Sprintf("ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nPidFile none\nAuthorizedKeysFile %s/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n", s.Port, hostFile, s.Dir)
	for _, line := range more {
		conf += line + "\n"
	}
	os.WriteFile(filepath.Join(s.Dir, "authorized"), []byte(public+"\n"), 0o600)
	os.WriteFile(filepath.Join(s.Dir, "sshd_config"), []byte(conf), 0o600)
	s.run(t, program)
	return s
}

func (s Server) run(t testing.TB, program string) {
	t.Helper()
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(s.Dir, "sshd_config"))
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
	trial.Until(t, "sshd listens", func() (bool, string) {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
		if err == nil {
			c.Close()
		}
		return err == nil, fmt.Sprint(err)
	})
}
