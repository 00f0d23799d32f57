// Package pebble runs the ACME test CA Pebble and a small DNS inside this
// process, for the demo and for tests. Its certificates are trusted by nobody.
package pebble

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Options of a CA. The zero value is a strict Pebble on free ports that looks
// for challenges at 127.0.0.1, ports 5002 and 5001.
type Options struct {
	Listen    string // address of the ACME API; empty for a free port on 127.0.0.1
	DNSListen string // address of the DNS; empty for a free port on 127.0.0.1
	HTTPPort  int    // where http-01 is looked for, 5002 if zero
	TLSPort   int    // where tls-alpn-01 is looked for, 5001 if zero

	EABRequired bool
	EABKeys     map[string]string // key id to HMAC key in base64url

	Profiles       map[string]time.Duration // name to validity; empty for one called default of 90 days
	AlternateRoots int                      // chains besides the default one
	ChainLength    int                      // intermediates, 1 if zero
	Blocked        []string                 // names that policy forbids

	NonceReject   int           // percentage of good nonces that are refused
	AuthzReuse    int           // percentage of valid authorizations that are used again; Pebble adds 1
	OrdersPerPage int           // of an account's order list, 3 if zero
	RetryAfter    time.Duration // said of what is processing, in whole seconds or as a date, at random
	AlwaysValid   bool          // do not look for challenges at all

	// Resolve says where a name is, in lower case without a trailing dot; none
	// means NXDOMAIN. Nil puts every name at 127.0.0.1. IPv6 goes first.
	Resolve func(name string) []netip.Addr

	Wrap func(http.Handler) http.Handler // around the ACME API, to break it
	Log  io.Writer                       // what Pebble says; nil for nothing
}

// CA is a running Pebble.
type CA struct {
	DirectoryURL string
	TrustPEM     []byte // the CA bundle of its API
	DNSAddr      string // host:port, UDP and TCP

	core
	dns    *server
	http   *http.Server
	served chan error
}

// core is what a Pebble is made of, with or without sockets.
type core struct {
	ca      *ca.CAImpl
	mem     *db.MemoryStore
	handler http.Handler
}

// Start runs a Pebble until Close.
func Start(o Options) (*CA, error) {
	o = o.withDefaults()
	d, err := startDNS(o.DNSListen, o.Resolve)
	if err != nil {
		return nil, err
	}
	c := &CA{DNSAddr: d.addr, dns: d, served: make(chan error, 1)}
	if err := c.start(o); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return c, nil
}

func (c *CA) start(o Options) error {
	logger := log.New(o.Log, "pebble ", 0)
	mem := db.NewMemoryStore()
	validator := newVA(o, logger, c.DNSAddr, mem)
	var err error
	if c.core, err = newCore(o, logger, mem, validator); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen for the test CA: %w", err)
	}
	cert, trust, err := serverCertificate(ln.Addr())
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	c.TrustPEM = trust
	c.DirectoryURL = "https://" + ln.Addr().String() + wfe.DirectoryPath
	c.http = &http.Server{Handler: c.handler, TLSConfig: cert, ReadHeaderTimeout: 10 * time.Second, ErrorLog: logger}
	go func() { c.served <- c.http.ServeTLS(ln, "", "") }()
	return nil
}

// newCore makes the CA and its front end; the validator is made apart, because
// it may have to live elsewhere.
func newCore(o Options, logger *log.Logger, mem *db.MemoryStore, validator *va.VAImpl) (core, error) {
	for id, key := range o.EABKeys {
		if err := mem.AddExternalAccountKeyByID(id, key); err != nil {
			return core{}, fmt.Errorf("add the binding %q to the test CA: %w", id, err)
		}
	}
	for _, name := range o.Blocked {
		if err := mem.AddBlockedDomain(name); err != nil {
			return core{}, fmt.Errorf("block %q at the test CA: %w", name, err)
		}
	}
	k := core{ca: ca.New(logger, mem, "", "ecdsa", o.AlternateRoots, o.ChainLength, profiles(o.Profiles)), mem: mem}
	wait := int(o.RetryAfter / time.Second)
	var front wfe.WebFrontEndImpl
	withEnv(o.frontEnv(), func() {
		front = wfe.New(logger, mem, validator, k.ca, []string{"pebble.test"}, true, o.EABRequired, wait, wait)
	})
	k.handler = calm(front.Handler(), mem)
	if o.Wrap != nil {
		k.handler = o.Wrap(k.handler)
	}
	return k, nil
}

func newVA(o Options, logger *log.Logger, dnsAddr string, mem *db.MemoryStore) (v *va.VAImpl) {
	withEnv(o.validatorEnv(), func() { v = va.New(logger, o.HTTPPort, o.TLSPort, true, dnsAddr, mem) })
	return v
}

func (o Options) withDefaults() Options {
	o.Listen, o.DNSListen = orString(o.Listen, "127.0.0.1:0"), orString(o.DNSListen, "127.0.0.1:0")
	o.HTTPPort, o.TLSPort = orInt(o.HTTPPort, 5002), orInt(o.TLSPort, 5001)
	o.ChainLength, o.OrdersPerPage = orInt(o.ChainLength, 1), orInt(o.OrdersPerPage, 3)
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Resolve == nil {
		here := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		o.Resolve = func(string) []netip.Addr { return here }
	}
	return o
}

func profiles(in map[string]time.Duration) map[string]ca.Profile {
	if len(in) == 0 {
		in = map[string]time.Duration{"default": 90 * 24 * time.Hour}
	}
	out := map[string]ca.Profile{}
	for name, d := range in {
		out[name] = ca.Profile{Description: fmt.Sprintf("valid for %s", d), ValidityPeriod: uint64(d / time.Second)}
	}
	return out
}

// RootsPEM are the roots under which certificates are issued, one a chain.
func (k *core) RootsPEM() []byte {
	var out []byte
	for i := range k.ca.GetNumberOfRootCerts() {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.ca.GetRootCert(i).DER})...)
	}
	return out
}

// AddTXT adds a TXT record, as a dns-01 solver would.
func (c *CA) AddTXT(name, value string) { c.dns.add(name, value) }

// ClearTXT removes all TXT records of a name.
func (c *CA) ClearTXT(name string) { c.dns.clear(name) }

// SetCNAME makes one name an alias of another; an empty target undoes it.
func (c *CA) SetCNAME(name, target string) { c.dns.alias(name, target) }

// Close stops the CA and its DNS at once: a graceful end would wait a second for
// each idle connection of HTTP/2. One idle goroutine of Pebble remains.
func (c *CA) Close() error {
	err := c.http.Close()
	if served := <-c.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, c.dns.close())
}

func orString(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func orInt(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}
