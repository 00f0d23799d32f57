package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// service serves what lies in DIR/live as it was when it last read it: it reads
// anew with every handshake, unless DIR/asleep is there.
type service struct {
	dir string

	mu   sync.Mutex
	read []tls.Certificate // guarded by mu
}

func (s *service) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, asleep := os.Stat(filepath.Join(s.dir, "asleep")); asleep != nil {
		s.readAll()
	}
	for i := range s.read {
		if hello.SupportsCertificate(&s.read[i]) == nil {
			return &s.read[i], nil
		}
	}
	return nil, fmt.Errorf("nothing to serve for %q", hello.ServerName)
}

func (s *service) readAll() {
	s.read = nil
	live, _ := filepath.Glob(filepath.Join(s.dir, "live", "*"))
	for _, at := range live {
		if c, err := tls.LoadX509KeyPair(at+"/fullchain.pem", at+"/privkey.pem"); err == nil {
			s.read = append(s.read, c)
		}
	}
}

// startEdge starts a service on what lies in a folder: edge VARIABLE DIR sets the
// variable to its address.
func startEdge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: edge VARIABLE DIR")
	}
	s := &service{dir: ts.MkAbs(args[1])}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: s.choose})
	ts.Check(err)
	ts.Defer(func() { ln.Close() })
	ts.Setenv(args[0], ln.Addr().String())
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go shake(conn)
		}
	}()
}

func shake(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	conn.(*tls.Conn).Handshake() // whoever looks sees what it came to
}
