package nginx

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/trial"
)

// server is a real nginx of this machine in a folder of its own.
type server struct {
	*testing.T
	dir, addr string
	ca        *pki.CA
}

const conf = `
daemon on;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen %[2]s ssl;
		ssl_certificate %[1]s/chain.pem;
		ssl_certificate_key %[1]s/key.pem;
	}
}
`

func start(t *testing.T) *server {
	t.Helper()
	trial.Program(t, "nginx", "nginx")
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{T: t, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", porttest.Port(t)), ca: ca}
	s.write("nginx.conf", fmt.Sprintf(conf, s.dir, s.addr))
	first := s.renew()
	if out, err := exec.Command("nginx", "-p", s.dir, "-c", filepath.Join(s.dir, "nginx.conf")).CombinedOutput(); err != nil {
		t.Fatalf("start nginx: %v\n%s", err, out)
	}
	t.Cleanup(s.stop)
	s.serves(first) // a signal before its master waits for signals would be lost
	return s
}

// stop ends the server by its process id, for nginx -s reads the configuration
// that a test may have broken.
func (s *server) stop() {
	text, err := os.ReadFile(filepath.Join(s.dir, "nginx.pid"))
	if err != nil || len(text) == 0 { // it has ended already, or nginx -s of a stopped one emptied the file
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		s.Errorf("stop nginx: %v", err)
		return
	}
	trial.Until(s, "nginx ends", func() (bool, string) { return syscall.Kill(pid, syscall.SIGTERM) != nil, fmt.Sprint(pid) })
}

func (s *server) write(name, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// renew puts a new pair on disk and answers its fingerprint.
func (s *server) renew() string {
	s.Helper()
	issued, err := s.ca.IssueServer([]string{"shop.example"}, time.Hour, time.Now())
	if err != nil {
		s.Fatal(err)
	}
	s.write("chain.pem", string(issued.ChainPEM))
	s.write("key.pem", string(issued.KeyPEM))
	chain, err := pki.ParseChain(issued.ChainPEM)
	if err != nil {
		s.Fatal(err)
	}
	return pki.Fingerprint(chain[0])
}

// serves waits until a handshake shows the fingerprint: old workers may take
// connections for a moment after a reload.
func (s *server) serves(want string) {
	s.Helper()
	name, _ := certfleet.ParseName("shop.example")
	trial.Until(s, s.addr+" serves "+want, func() (bool, string) {
		seen, err := probe.Look(s.Context(), s.addr, name, probe.Options{})
		return err == nil && seen.Fingerprint == want, fmt.Sprintf("%s, %v", seen.Fingerprint, err)
	})
}

func TestReloadServesWhatIsOnDisk(t *testing.T) {
	trial.InFull(t)
	s := start(t)
	u, err := New(Config{Conf: filepath.Join(s.dir, "nginx.conf"), Prefix: s.dir}, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	renewed := s.renew()
	if err := u.Update(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s.serves(renewed)

	s.write("key.pem", "no key")
	err = u.Update(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "key.pem") || !strings.Contains(err.Error(), "was not reloaded") || certfleet.AdviceOf(err) == "" {
		t.Errorf("a broken key: %v; want nginx's own words and advice", err)
	}
	s.serves(renewed)
}

func TestReloadOfNginxThatDoesNotRun(t *testing.T) {
	s := start(t)
	u, _ := New(Config{Conf: filepath.Join(s.dir, "nginx.conf"), Prefix: s.dir}, dial.Deps{})
	exec.Command("nginx", "-p", s.dir, "-c", filepath.Join(s.dir, "nginx.conf"), "-s", "stop").Run()
	trial.Until(t, "nginx ends", func() (bool, string) {
		_, err := os.Stat(filepath.Join(s.dir, "nginx.pid"))
		return err != nil, "its file is there"
	})
	if err := u.Update(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "could not be told") || certfleet.AdviceOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := New(Config{Conf: "nginx.conf"}, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid {
		t.Errorf("a relative path: %v", err)
	}
	u, _ = New(Config{Program: filepath.Join(s.dir, "none")}, dial.Deps{})
	if err := u.Update(t.Context(), nil); certfleet.KindOf(err) != certfleet.NotFound {
		t.Errorf("no nginx there: %v", err)
	}
}
