package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// edge is a toy server that serves what lies in a live folder, by server name.
type edge struct {
	addr   string
	live   string
	reload string // it reads again when this file was touched; empty for always
	server *http.Server
	ended  chan error

	mu    sync.Mutex
	pairs map[string]pair // by the folder's name in live, under mu
	told  time.Time       // when reload was touched last, under mu
}

// pair is one certificate and key as they lie in a generation.
type pair struct {
	generation string
	*tls.Certificate
}

func startEdge(live string) (*edge, error) { return startService(live, "") }

// startService starts an edge that reads again only when the file reload was touched.
func startService(live, reload string) (*edge, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the demo's edge: %w", err)
	}
	e := &edge{addr: ln.Addr().String(), live: live, reload: reload, ended: make(chan error, 1), pairs: map[string]pair{}}
	e.server = &http.Server{
		Handler: http.HandlerFunc(e.page), TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: e.choose},
		ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { e.ended <- e.server.ServeTLS(ln, "", "") }()
	return e, nil
}

// choose finds the certificate for a handshake; one without a server name is
// for the address that was dialled.
func (e *edge) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := hello.ServerName
	if name == "" {
		name, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
	}
	return e.find(name)
}

func (e *edge) find(name string) (*tls.Certificate, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.due() {
		if err := e.refresh(); err != nil {
			return nil, err
		}
	}
	for _, p := range e.pairs {
		if p.Leaf.VerifyHostname(name) == nil {
			return p.Certificate, nil
		}
	}
	return nil, fmt.Errorf("the demo's edge has no certificate for %q", name)
}

// due reports whether it was told to read again.
func (e *edge) due() bool {
	if e.reload == "" {
		return true
	}
	info, err := os.Stat(e.reload)
	if err != nil || info.ModTime().Equal(e.told) {
		return false
	}
	e.told = info.ModTime()
	return true
}

// refresh reads what changed: each entry of live is one link to a generation,
// and only a link that moved is read again.
func (e *edge) refresh() error {
	entries, err := os.ReadDir(e.live)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		generation, err := filepath.EvalSymlinks(filepath.Join(e.live, entry.Name()))
		if err != nil || e.pairs[entry.Name()].generation == generation {
			continue
		}
		c, err := tls.LoadX509KeyPair(filepath.Join(generation, "fullchain.pem"), filepath.Join(generation, "privkey.pem"))
		if err != nil {
			continue // the pair before goes on serving
		}
		e.pairs[entry.Name()] = pair{generation, &c}
	}
	return nil
}

// page says what was served.
func (e *edge) page(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	c, err := e.find(host)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintf(w, "%s is served with serial %x, valid until %s\n", host, c.Leaf.SerialNumber, c.Leaf.NotAfter.Format(time.DateTime))
}

func (e *edge) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if err != nil {
		err = e.server.Close()
	}
	if served := <-e.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
