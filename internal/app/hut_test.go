package app_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/trial"
)

// The environment that makes the test binary an agent (its command line), or a
// service (ADDRESS FOLDER).
const (
	agentArgs   = "CERTFLEET_TEST_AGENT"
	serviceArgs = "CERTFLEET_TEST_SERVICE"
)

// beBeside ends the process when it was one that lives on a host.
func beBeside() {
	if args, ok := os.LookupEnv(agentArgs); ok {
		os.Exit(agent.Main(strings.Fields(args), os.Stdout, os.Stderr))
	}
	if args, ok := os.LookupEnv(serviceArgs); ok {
		at, dir, _ := strings.Cut(args, " ")
		os.Exit(beService(at, dir))
	}
}

// beService serves FOLDER/pair as it was at the last SIGHUP. While FOLDER/asleep is
// there a reload goes well and changes nothing.
func beService(at, dir string) int {
	var mu sync.Mutex
	var serving *tls.Certificate // guarded by mu
	reload := func() {
		if _, err := os.Stat(filepath.Join(dir, "asleep")); err == nil {
			return
		}
		c, err := tls.LoadX509KeyPair(filepath.Join(dir, "pair", "fullchain.pem"), filepath.Join(dir, "pair", "privkey.pem"))
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			serving = &c
		}
	}
	hup := make(chan os.Signal, 8)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for range hup {
			reload()
		}
	}()
	reload()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if serving == nil {
			return nil, fmt.Errorf("there is nothing to serve yet")
		}
		return serving, nil
	}}}
	fmt.Fprintln(os.Stderr, srv.ServeTLS(ln, "", ""))
	return 1
}

// child starts this binary as something else; the test's end kills it.
func child(t *testing.T, env string) (*exec.Cmd, *lockedText) {
	t.Helper()
	cmd, said := exec.Command(os.Args[0]), &lockedText{}
	cmd.Env = append(os.Environ(), env)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", env, said)
		}
	})
	return cmd, said
}

// hut is a host with an agent and a service in processes of their own.
type hut struct {
	*testing.T
	dir, file string
	at        string // of the service
	port      int    // of the agent's SFTP server
	service   *exec.Cmd
	key       string // file of the key that pushes
	host      ssh.PublicKey
}

// newHut writes an agent's configuration; its service serves the certificate with
// that label.
func newHut(t *testing.T, label string) *hut {
	t.Helper()
	h := &hut{T: t, dir: t.TempDir(), at: string(addr(porttest.Port(t))), port: porttest.Port(t)}
	os.Symlink(filepath.Join(h.dir, "certs", "live", label), filepath.Join(h.dir, "pair"))
	var login ssh.PublicKey
	h.key, login = h.sshKey("login")
	_, h.host = h.sshKey("host")
	h.service, _ = child(t, fmt.Sprintf("%s=%s %s", serviceArgs, h.at, h.dir))
	text := fmt.Sprintf(`staging: %[1]s/staging
dir: %[1]s/certs
identity: %[1]s/identity.json
serves: ["%[2]s"]
sftp: {listen: "127.0.0.1:%[3]d", host_keys: [%[1]s/host], authorized_keys: [%[4]q]}
updaters:
  web: {type: script, command: [sh, -c, 'test ! -e %[1]s/broken && kill -HUP %[5]d'], retries: -1}
`, h.dir, h.at, h.port, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(login))), h.service.Process.Pid)
	h.file = filepath.Join(h.dir, "agent.yaml")
	if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "the service listens", func() (bool, string) {
		c, err := net.Dial("tcp", h.at)
		if err == nil {
			c.Close()
		}
		return err == nil, fmt.Sprint(err)
	})
	return h
}

func (h *hut) sshKey(name string) (file string, public ssh.PublicKey) {
	h.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, name)
	if err != nil {
		h.Fatal(err)
	}
	if public, err = ssh.NewPublicKey(pub); err != nil {
		h.Fatal(err)
	}
	file = filepath.Join(h.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		h.Fatal(err)
	}
	return file, public
}

// run runs one command of the agent to its end.
func (h *hut) run(args string) (said string, err error) {
	h.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), agentArgs+"=--config "+h.file+" "+args)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs a command that says something and goes well.
func (h *hut) must(args, want string) {
	h.Helper()
	if said, err := h.run(args); err != nil || !strings.Contains(said, want) {
		h.Fatalf("certfleet-agent %.30s: %v; want %q in:\n%s", args, err, want, said)
	}
}

// daemon starts the agent as a process that goes on.
func (h *hut) daemon() (*exec.Cmd, *lockedText) {
	h.Helper()
	cmd, said := child(h.T, agentArgs+"=--config "+h.file+" run")
	until(h, "the agent listens", func() (bool, string) { return strings.Contains(said.String(), "listening"), said.String() })
	return cmd, said
}

// mark makes or takes away a file by which the service misbehaves.
func (h *hut) mark(name string, there bool) {
	h.Helper()
	file := filepath.Join(h.dir, name)
	if there {
		os.WriteFile(file, nil, 0o600)
		return
	}
	os.Remove(file)
}

// serves is the fingerprint that the service shows.
func (h *hut) serves(name string) string {
	h.Helper()
	n, err := certfleet.ParseName(name)
	if err != nil {
		h.Fatal(err)
	}
	s, err := probe.Look(h.Context(), h.at, n, probe.Options{Timeout: trial.Patience})
	if err != nil && s.Fingerprint == "" {
		return err.Error()
	}
	return s.Fingerprint
}

// manor is a manager that can go away and come back.
type manor struct {
	*house
	conf *config.Config
	fall func()
}

func newManor(t *testing.T) *manor {
	t.Helper()
	m := &manor{house: &house{T: t}, conf: manager(t)}
	m.conf.Listen.API = addr(porttest.Port(t))
	m.conf.Outbound.Allow = loopback
	var err error
	if m.ca, err = pki.NewCA("somewhere else", time.Now()); err != nil {
		t.Fatal(err)
	}
	m.rise()
	return m
}

// rise starts the manager.
func (m *manor) rise() {
	m.Helper()
	a, err := app.New(context.WithoutCancel(m.Context()), m.conf, app.Options{Log: testLog(m.T)})
	if err != nil {
		m.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(m.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	m.fall = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			m.Errorf("run: %v", err)
		}
		a.Close()
	})
	m.Cleanup(m.fall)
	select {
	case <-a.Ready():
	case <-time.After(trial.Patience):
		m.Fatal("the manager does not come up")
	}
	m.app, m.url = a, "https://"+a.Addr("api")
	m.c = client.New("http://offline", client.Options{HTTP: &http.Client{Transport: a.Offline("user:test")}})
}

// events counts those of a kind about a certificate.
func (m *manor) events(kind string, certificate int64) (n int) {
	m.Helper()
	for e, err := range m.c.Events(m.Context(), client.EventQuery{Kind: kind}) {
		if err != nil {
			m.Fatal(err)
		}
		if e.Kind == kind && e.CertificateID == certificate {
			n++
		}
	}
	return n
}
