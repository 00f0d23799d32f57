package demo

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper/file"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/pki"
)

// The demo's own files in its folder; the rest is as certfleet init names it.
const (
	markFile   = "demo.lock"
	configFile = "certfleet.yaml"
	tokenFile  = "admin.token"
	rootsFile  = "roots.pem"
	logFile    = "certfleet.log"
)

// home is the folder of a demo, with what a manager has to have before it starts.
type home struct {
	dir       string
	temporary bool
	lock      *os.File
	ports     ports
	config    *config.Config
	token     string
}

// ports are where the manager listens, on loopback.
type ports struct{ api, http01, tlsalpn01 int }

// openHome makes the folder, or takes the one of an earlier demo.
func openHome(dir string) (*home, error) {
	h := &home{dir: dir, temporary: dir == ""}
	var err error
	if h.temporary {
		h.dir, err = os.MkdirTemp("", "certfleet-demo-")
	} else if h.dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(h.dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("make the demo's folder: %w", err)
	}
	if err := h.settle(); err != nil {
		return nil, errors.Join(err, h.leave())
	}
	return h, nil
}

func (h *home) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

// settle takes the folder for this process and puts keys and the CA there.
func (h *home) settle() error {
	if err := h.take(); err != nil {
		return err
	}
	if err := h.keys(); err != nil {
		return err
	}
	var err error
	h.ports, err = freePorts()
	return err
}

// take refuses a folder that belongs to a real manager or to a running demo.
func (h *home) take() error {
	if exists(h.path("certfleet.db")) && !exists(h.path(markFile)) {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: h.dir + " holds a database that is no demo's", Advice: "choose another folder with --dir"}
	}
	f, err := os.OpenFile(h.path(markFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("take the demo's folder: %w", err)
	}
	h.lock = f
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: "another demo runs in " + h.dir, Advice: "end it, or choose another folder with --dir", Err: err}
	}
	return nil
}

// keys makes the sealing key and the private CA, unless they are there.
func (h *home) keys() error {
	if key := h.path("sealing.key"); !exists(key) {
		if _, err := file.Create(key); err != nil {
			return err
		}
	}
	if exists(h.path(app.CACertFile)) && exists(h.path(app.CAKeyFile)) {
		return nil
	}
	ca, err := pki.NewCA("certfleet demo", time.Now())
	if err != nil {
		return err
	}
	cert, key, err := ca.PEM()
	if err != nil {
		return err
	}
	defer key.Wipe()
	return errors.Join(os.WriteFile(h.path(app.CACertFile), cert, 0o644), os.WriteFile(h.path(app.CAKeyFile), key, 0o600))
}

// configure writes the configuration that this run and the command line use.
func (h *home) configure(ca *pebble.CA) error {
	if err := os.WriteFile(h.path(rootsFile), ca.RootsPEM(), 0o644); err != nil {
		return fmt.Errorf("write the CA's roots: %w", err)
	}
	text := config.Write(config.Choices{Contact: []string{"tls@demo.test"}, StateDir: h.dir, API: loopback(h.ports.api), HTTP01: loopback(h.ports.http01), TLSALPN01: loopback(h.ports.tlsalpn01)})
	text = []byte(strings.NewReplacer(`#roots: ""`, "roots: "+strconv.Quote(h.path(rootsFile)), "#allow: []", "allow: [127.0.0.0/8]", "#resolvers: []", "resolvers: ["+strconv.Quote(ca.DNSAddr)+"]").Replace(string(text)))
	if err := os.WriteFile(h.path(configFile), text, 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	var err error
	h.config, err = config.Parse(text, h.path(configFile))
	return err
}

// newToken makes this run's token for the API and writes it beside the configuration.
func (h *home) newToken() error {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	h.token = "cf_" + base64.RawURLEncoding.EncodeToString(secret)
	if err := os.WriteFile(h.path(tokenFile), []byte(h.token+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the token: %w", err)
	}
	return nil
}

// leave gives the folder back; a temporary one is removed.
func (h *home) leave() error {
	var err error
	if h.lock != nil {
		err = h.lock.Close()
	}
	if h.temporary {
		err = errors.Join(err, os.RemoveAll(h.dir))
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func loopback(port int) config.Address {
	return config.Address(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// freePorts finds three that nobody uses now. The CA has to know where to look
// for challenges before the manager listens there.
func freePorts() (p ports, err error) {
	for _, port := range []*int{&p.api, &p.http01, &p.tlsalpn01} {
		ln, err := freePort()
		if err != nil {
			return p, fmt.Errorf("find a free port: %w", err)
		}
		defer ln.Close()
		*port = ln.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// freePort listens where nobody does, until somebody else is to listen there. It
// is below the ports that the kernel hands out, so that none of them takes it
// meanwhile. Tests put ports of their own in its place.
var freePort = func() (ln net.Listener, err error) {
	const lowest, highest, tries = 10000, 29999, 100
	for range tries {
		if ln, err = net.Listen("tcp", string(loopback(lowest+mathrand.IntN(highest-lowest+1)))); err == nil {
			return ln, nil
		}
	}
	return nil, err
}
