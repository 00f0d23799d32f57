package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// ServerVersion is how the agent introduces itself (RFC 4253 section 4.2); by it
// a pusher knows that a manifest is wanted.
const ServerVersion = "SSH-2.0-certfleet-agent"

const (
	maxAuthTries = 6
	maxChannels  = 4                // of one connection
	linger       = 10 * time.Second // after the last channel: certdeploy's server never closes
)

// server lets the configured user in by the configured keys, to SFTP alone.
type server struct {
	a       *Agent
	ssh     *ssh.ServerConfig
	keys    []ssh.PublicKey // who may log in, without the file's
	changed chan struct{}
	slots   chan struct{} // connections, logged in or not

	mu        sync.Mutex // guards strangers
	strangers map[string]int
}

func (a *Agent) newServer(changed chan struct{}) (*server, error) {
	s := &server{a: a, changed: changed, slots: make(chan struct{}, a.c.SFTP.MaxConnections), strangers: map[string]int{}}
	s.ssh = &ssh.ServerConfig{ServerVersion: ServerVersion, MaxAuthTries: maxAuthTries, PublicKeyCallback: s.login}
	signers, err := hostKeys(a.c.SFTP.HostKeys)
	if err != nil {
		return nil, err
	}
	for _, k := range signers {
		s.ssh.AddHostKey(k)
		a.log.Info("host key", "fingerprint", ssh.FingerprintSHA256(k.PublicKey()), "type", k.PublicKey().Type())
	}
	if s.keys, err = authorized([]byte(join(a.c.SFTP.AuthorizedKeys)), "sftp.authorized_keys"); err != nil {
		return nil, err
	}
	if len(s.keys) == 0 && a.c.SFTP.AuthorizedKeysFile == "" {
		return nil, invalid("put the pusher's public key into sftp.authorized_keys", "nobody may push: there is no authorized key")
	}
	return s, nil
}

// login accepts one user and the configured keys. Refusals look alike.
func (s *server) login(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	keys := s.keys
	if file := s.a.c.SFTP.AuthorizedKeysFile; file != "" {
		text, err := os.ReadFile(file)
		if err == nil {
			var more []ssh.PublicKey
			more, err = authorized(text, file)
			keys = append(keys[:len(keys):len(keys)], more...)
		}
		if err != nil {
			s.a.log.Error("authorized keys cannot be read", "file", file, "error", err)
		}
	}
	for _, k := range keys {
		if c.User() == s.a.c.SFTP.User && bytes.Equal(k.Marshal(), key.Marshal()) {
			return &ssh.Permissions{Extensions: map[string]string{"key": ssh.FingerprintSHA256(key)}}, nil
		}
	}
	return nil, errors.New("not authorized")
}

// serve accepts until ctx ends, and returns when every connection is over.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.a.log.Warn("connection not accepted", "error", err)
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accept connections: %w", err)
			}
			time.Sleep(100 * time.Millisecond) // out of file descriptors, perhaps
			continue
		}
		select {
		case s.slots <- struct{}{}:
			all.Go(func() { defer func() { <-s.slots }(); s.connection(ctx, conn) })
		default:
			conn.Close() // the pusher tries again
		}
	}
}

// connection is one client from its first byte to its last. Whatever strangers
// send ends their own connection at most.
func (s *server) connection(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	defer func() {
		if p := recover(); p != nil {
			s.a.log.Error("connection broke", "remote", raw.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.a.c.SFTP.Session))
	defer cancel()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	moving := &moving{Conn: raw}
	conn, channels, requests, err := s.handshake(moving)
	if err != nil {
		s.a.log.Debug("login failed", "remote", raw.RemoteAddr(), "error", err)
		return
	}
	defer conn.Close()
	moving.start(time.Duration(s.a.c.SFTP.Idle))
	s.a.log.Debug("logged in", "remote", raw.RemoteAddr(), "key", conn.Permissions.Extensions["key"])
	s.channels(ctx, conn, channels, requests)
}

// errCrowd is that an address has enough connections that have not logged in, so
// that it cannot take the room of all others.
var errCrowd = errors.New("too many handshakes at a time from this address")

func (s *server) handshake(c net.Conn) (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	if !s.admit(host, 1) {
		return nil, nil, nil, errCrowd
	}
	defer s.admit(host, -1)
	c.SetDeadline(time.Now().Add(time.Duration(s.a.c.SFTP.Handshake)))
	return ssh.NewServerConn(c, s.ssh)
}

// admit counts the strangers of an address; a quarter of all connections may be.
func (s *server) admit(host string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.strangers[host] >= max(1, cap(s.slots)/4) {
		return false
	}
	if s.strangers[host] += n; s.strangers[host] == 0 {
		delete(s.strangers, host)
	}
	return true
}

// channels serves the sessions of a connection until it closes, or has been
// without one for a while.
func (s *server) channels(ctx context.Context, conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	var all sync.WaitGroup
	defer all.Wait()
	defer conn.Close()
	all.Go(func() { ssh.DiscardRequests(requests) })
	ended, open := make(chan struct{}, maxChannels), 0
	idle := time.NewTimer(s.a.linger)
	for {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			return
		case <-ended:
			if open--; open == 0 {
				idle.Reset(s.a.linger)
			}
		case c, ok := <-channels:
			if !ok {
				return
			}
			if c.ChannelType() != "session" || open == maxChannels {
				c.Reject(ssh.Prohibited, "SFTP sessions only, a few at a time")
				continue
			}
			open++
			idle.Stop()
			all.Go(func() { defer func() { ended <- struct{}{} }(); s.session(ctx, c) })
		}
	}
}

// moving ends a connection on which nothing moves.
type moving struct {
	net.Conn
	mu   sync.Mutex // guards idle
	idle time.Duration
}

func (m *moving) start(idle time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle = idle
	m.Conn.SetDeadline(time.Now().Add(idle))
}

func (m *moving) moved(n int, err error) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > 0 && m.idle > 0 {
		m.Conn.SetDeadline(time.Now().Add(m.idle))
	}
	return n, err
}

// Read is the connection's, and notes that something moved.
func (m *moving) Read(b []byte) (int, error) { return m.moved(m.Conn.Read(b)) }

// Write is the connection's, and notes that something moved.
func (m *moving) Write(b []byte) (int, error) { return m.moved(m.Conn.Write(b)) }
