package haproxy

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/trial"
)

// server is a real HAProxy of this machine in a folder of its own.
type server struct {
	*testing.T
	dir, addr string
	ca        *pki.CA
}

const conf = `
global
	stats socket %[1]s/admin.sock mode 600 level %[3]s
defaults
	mode http
	timeout client 5s
	timeout connect 5s
	timeout server 5s
frontend web
	bind %[2]s ssl crt %[1]s/certs/
	http-request return status 200
`

func start(t *testing.T, level string) *server {
	t.Helper()
	trial.Program(t, "haproxy", "haproxy")
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{T: t, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", porttest.Port(t)), ca: ca}
	b := s.bundle("shop", 1)
	s.write("certs/shop.pem", string(b.ChainPEM)+string(b.KeyPEM))
	s.write("haproxy.cfg", fmt.Sprintf(conf, s.dir, s.addr, level))
	s.run()
	s.serves("shop", b.Fingerprint)
	return s
}

func (s *server) run() {
	s.Helper()
	cmd := exec.Command("haproxy", "-db", "-f", filepath.Join(s.dir, "haproxy.cfg"))
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if s.Failed() {
			s.Log(out)
		}
	})
}

func (s *server) write(name, text string) {
	s.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *server) bundle(label string, version int64) certfleet.Bundle {
	s.Helper()
	issued, err := s.ca.IssueServer([]string{label + ".example"}, time.Hour, time.Now())
	if err != nil {
		s.Fatal(err)
	}
	chain, err := pki.ParseChain(issued.ChainPEM)
	if err != nil {
		s.Fatal(err)
	}
	return certfleet.Bundle{Certificate: label, Version: version, ChainPEM: issued.ChainPEM, KeyPEM: issued.KeyPEM, Fingerprint: pki.Fingerprint(chain[0])}
}

func (s *server) serves(label, want string) {
	s.Helper()
	name, _ := certfleet.ParseName(label + ".example")
	trial.Until(s, label+" serves "+want, func() (bool, string) {
		seen, err := probe.Look(s.Context(), s.addr, name, probe.Options{})
		return err == nil && seen.Fingerprint == want, fmt.Sprintf("%s, %v", seen.Fingerprint, err)
	})
}

func (s *server) updater(c Config) *Updater {
	s.Helper()
	c.Socket = filepath.Join(s.dir, "admin.sock")
	u, err := New(c, dial.Deps{})
	if err != nil {
		s.Fatal(err)
	}
	return u
}

func TestCertificateChangesWithoutAReload(t *testing.T) {
	s := start(t, "admin")
	u := s.updater(Config{File: s.dir + "/certs/{name}.pem"})
	for v := range int64(3) {
		b := s.bundle("shop", v+2)
		if said, err := u.Tell(t.Context(), []certfleet.Bundle{b}); err != nil || !strings.Contains(said, "certs/shop.pem") {
			t.Fatalf("said %q, %v", said, err)
		}
		s.serves("shop", b.Fingerprint)
	}
}

func TestNewCertificateIsAddedWhereThereIsAList(t *testing.T) {
	s := start(t, "admin")
	b := s.bundle("blog", 1)
	b.Path = s.dir + "/certs/blog.pem"
	if err := s.updater(Config{}).Update(t.Context(), []certfleet.Bundle{b}); certfleet.KindOf(err) != certfleet.NotFound || certfleet.AdviceOf(err) == "" {
		t.Errorf("without a list: %v", err)
	}
	if err := s.updater(Config{List: s.dir + "/certs/"}).Update(t.Context(), []certfleet.Bundle{b}); err != nil {
		t.Fatal(err)
	}
	s.serves("blog", b.Fingerprint)
}

func TestRefusedCertificateLeavesTheOneThatIsThere(t *testing.T) {
	s := start(t, "admin")
	u := s.updater(Config{File: s.dir + "/certs/{name}.pem"})
	good := s.bundle("shop", 2)
	if err := u.Update(t.Context(), []certfleet.Bundle{good}); err != nil {
		t.Fatal(err)
	}
	mixed := s.bundle("shop", 3)
	mixed.KeyPEM = s.bundle("shop", 3).KeyPEM
	last := s.bundle("shop", 4)
	err := u.Update(t.Context(), []certfleet.Bundle{mixed})
	if err == nil {
		t.Error("a key that does not fit was taken")
	}
	s.serves("shop", good.Fingerprint)

	// What HAProxy itself refuses must not stay in its transaction.
	if err := u.commit(t.Context(), s.dir+"/certs/shop.pem", append(last.ChainPEM, mixed.KeyPEM...)); err == nil || !strings.Contains(err.Error(), "HAProxy refused") {
		t.Errorf("got %v, want HAProxy's own refusal", err)
	}
	if answer, err := u.ask(t.Context(), []byte("commit ssl cert "+s.dir+"/certs/shop.pem\n")); err != nil || !strings.Contains(answer, "No ongoing transaction") {
		t.Errorf("after a refusal: %q, %v; want no transaction left", answer, err)
	}
	s.serves("shop", good.Fingerprint)
	if err := u.Update(t.Context(), []certfleet.Bundle{mixed, last}); err == nil {
		t.Error("the bad one of two was not told")
	}
	s.serves("shop", last.Fingerprint)
}

func TestSocketProblemsCarryAdvice(t *testing.T) {
	s := start(t, "user")
	b := s.bundle("shop", 2)
	b.Path = s.dir + "/certs/shop.pem"
	if err := s.updater(Config{}).Update(t.Context(), []certfleet.Bundle{b}); certfleet.KindOf(err) != certfleet.Denied || certfleet.AdviceOf(err) == "" {
		t.Errorf("a socket of level user: %v", err)
	}
	u, _ := New(Config{Socket: s.dir + "/none.sock"}, dial.Deps{})
	if err := u.Update(t.Context(), []certfleet.Bundle{b}); certfleet.KindOf(err) != certfleet.Unreachable {
		t.Errorf("no socket there: %v", err)
	}
	silent, err := net.Listen("unix", s.dir+"/silent.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	u, _ = New(Config{Socket: s.dir + "/silent.sock", Timeout: certfleet.Duration(200 * time.Millisecond)}, dial.Deps{})
	if err := u.Update(t.Context(), []certfleet.Bundle{b}); certfleet.KindOf(err) != certfleet.Unreachable {
		t.Errorf("a socket that says nothing: %v", err)
	}
	for _, c := range []Config{{}, {Socket: "admin.sock"}, {Socket: "/s", File: "/a b"}, {Socket: "/s", List: "/x;del"}} {
		if _, err := New(c, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
