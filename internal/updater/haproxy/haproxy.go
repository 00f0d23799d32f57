// Package haproxy is the updater that puts certificates into a running HAProxy
// over its runtime API. No reload is needed; the files on disk stay what a later
// start reads.
package haproxy

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
)

// Config says where the runtime API is.
type Config struct {
	// Socket of HAProxy's "stats socket ... level admin": an absolute path, or
	// host:port.
	Socket string `json:"socket"`
	// File is the name by which HAProxy knows a certificate, with {name} for its
	// file name, such as /etc/haproxy/certs/{name}.pem. Empty means the file that
	// was written, which a target or agent with layout haproxy tells.
	File string `json:"file,omitempty"`
	// List is the crt-list or folder of the bind line to which certificates are
	// added that HAProxy does not know yet; empty means that these are an error.
	List string `json:"list,omitempty"`
	// Timeout bounds each command; zero means 10s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
}

// Updater talks to one HAProxy.
type Updater struct {
	c    Config
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

const timeout = 10 * time.Second

// New checks the configuration; it connects nowhere.
func New(c Config, d dial.Deps) (*Updater, error) {
	u := &Updater{c: c, dial: d.Dial}
	if c.Timeout <= 0 {
		u.c.Timeout = certfleet.Duration(timeout)
	}
	if u.unix() || u.dial == nil { // a socket of this machine needs no guard
		u.dial = new(net.Dialer).DialContext
	}
	if _, _, err := net.SplitHostPort(c.Socket); err != nil && !u.unix() {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("socket %q is no path and no host:port", c.Socket), Advice: "name HAProxy's stats socket, such as /run/haproxy/admin.sock"}
	}
	if bad(c.File) || bad(c.List) {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "file and list are single words for HAProxy", Advice: "leave out blanks, semicolons and line ends"}
	}
	return u, nil
}

func (u *Updater) unix() bool { return filepath.IsAbs(u.c.Socket) }

// bad reports whether a word would end a command of the runtime API.
func bad(word string) bool { return strings.ContainsAny(word, " \t\r\n;\\<\"'") }

// Update puts each certificate in and looks whether HAProxy has it then. One
// that is refused leaves what HAProxy has, and stops no other.
func (u *Updater) Update(ctx context.Context, changed []certfleet.Bundle) error {
	_, err := u.Tell(ctx, changed)
	return err
}

// Tell is Update, and answers what was put in.
func (u *Updater) Tell(ctx context.Context, changed []certfleet.Bundle) (string, error) {
	var said []string
	var problems []error
	for _, b := range changed {
		file, err := u.file(b)
		if err == nil {
			err = u.put(ctx, file, b)
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		said = append(said, "committed "+file)
	}
	return strings.Join(said, "\n"), errors.Join(problems...)
}

func (u *Updater) file(b certfleet.Bundle) (string, error) {
	name, err := certfleet.LineageName(b.Certificate)
	if err != nil {
		return "", err
	}
	file := b.Path
	if u.c.File != "" {
		file = strings.ReplaceAll(u.c.File, "{name}", name)
	}
	if file == "" || bad(file) {
		return "", &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("it is not known by which file HAProxy knows %q", b.Certificate), Advice: "set file to the path in HAProxy's configuration, such as /etc/haproxy/certs/{name}.pem"}
	}
	return file, nil
}

func (u *Updater) put(ctx context.Context, file string, b certfleet.Bundle) error {
	chain, key, err := pki.ParsePair(b.ChainPEM, b.KeyPEM)
	if err != nil {
		return err
	}
	keyPEM, err := pki.MarshalKey(key)
	if err != nil {
		return err
	}
	payload := append(pki.EncodeChain(chain), keyPEM...)
	defer clear(payload)
	return u.replace(ctx, file, payload, chain[0])
}

// replace opens a transaction for the file, commits it, and looks.
func (u *Updater) replace(ctx context.Context, file string, payload []byte, leaf *x509.Certificate) error {
	known, err := u.knows(ctx, file)
	if err != nil {
		return err
	}
	if !known {
		if err := u.introduce(ctx, file); err != nil {
			return err
		}
	}
	if err := u.commit(ctx, file, payload); err != nil {
		return err
	}
	if !known {
		if err := u.expect(ctx, "Success!", "add ssl crt-list "+u.c.List+" "+file); err != nil {
			return err
		}
	}
	return u.holds(ctx, file, leaf)
}

func (u *Updater) knows(ctx context.Context, file string) (bool, error) {
	answer, err := u.ask(ctx, []byte("show ssl cert "+file+"\n"))
	switch {
	case err != nil || strings.Contains(answer, "Filename: "):
		return err == nil, err
	case strings.Contains(answer, "Not found"):
		return false, nil
	}
	// Below level admin HAProxy 2.6 claims to be out of memory.
	return false, notAllowed()
}

func (u *Updater) introduce(ctx context.Context, file string) error {
	if u.c.List == "" {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("HAProxy does not know %s", file), Advice: "reload HAProxy once so that it reads the file, or set list to the crt-list or folder of its bind line"}
	}
	return u.expect(ctx, "New empty certificate store", "new ssl cert "+file)
}

func (u *Updater) commit(ctx context.Context, file string, payload []byte) error {
	// An empty line ends the payload; PEM has none.
	answer, err := u.ask(ctx, fmt.Appendf(nil, "set ssl cert %s <<\n%s\n", file, payload))
	if err == nil && !strings.Contains(answer, "Transaction ") {
		err = refused("set ssl cert", answer)
	}
	if err == nil {
		err = u.expect(ctx, "Success!", "commit ssl cert "+file)
	}
	if err != nil {
		// Whoever comes next must not meet our half.
		u.ask(context.WithoutCancel(ctx), []byte("abort ssl cert "+file+"\n"))
	}
	return err
}

func (u *Updater) holds(ctx context.Context, file string, leaf *x509.Certificate) error {
	answer, err := u.ask(ctx, []byte("show ssl cert "+file+"\n"))
	if err != nil {
		return err
	}
	sum := sha1.Sum(leaf.Raw) // the only fingerprint that HAProxy shows
	if !strings.Contains(strings.ToLower(answer), hex.EncodeToString(sum[:])) {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("HAProxy took %s and shows another certificate", file), Advice: "check that nothing else changes this certificate, then deliver again"}
	}
	return nil
}

func (u *Updater) expect(ctx context.Context, want, command string) error {
	answer, err := u.ask(ctx, []byte(command+"\n"))
	if err == nil && !strings.Contains(answer, want) {
		words := strings.Fields(command)
		err = refused(strings.Join(words[:3], " "), answer)
	}
	return err
}
