package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
)

// connection is one login; sessions on it come one after the other.
type connection struct {
	raw  net.Conn
	ssh  *ssh.Client
	peer Peer
	own  bool // it introduced itself as our agent
	beat time.Duration
	stop func() bool
}

func (t *Target) connect(ctx context.Context) (*connection, error) {
	key, err := t.signer()
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, time.Duration(t.c.Timeout))
	defer cancel()
	raw, err := t.d.Dial(dialing, "tcp", t.addr())
	if err != nil {
		return nil, t.explain("connect", err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn, channels, requests, err := ssh.NewClientConn(newMoving(raw, time.Duration(t.c.Timeout)), t.addr(), &ssh.ClientConfig{
		User: t.c.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, ClientVersion: "SSH-2.0-" + certfleet.UserAgent,
		HostKeyCallback: t.keys.check(t.c.Host), HostKeyAlgorithms: t.keys.algorithms(),
	})
	if err != nil {
		stop()
		raw.Close()
		return nil, t.explain("log in", err)
	}
	c := &connection{raw: raw, ssh: ssh.NewClient(conn, channels, requests), peer: t.c.Peer, beat: time.Duration(t.c.Timeout) / 3, stop: stop}
	c.own = c.peer != OpenSSH && c.peer != Certdeploy && peerOf(string(conn.ServerVersion())) == Agent
	if c.peer == Auto {
		c.peer = peerOf(string(conn.ServerVersion()))
	}
	if c.peer == OpenSSH && t.inPlace {
		c.peer = Certdeploy
	}
	return c, nil
}

func (c *connection) close() {
	c.stop()
	if c.peer == Certdeploy {
		c.part()
	}
	c.ssh.Close()
}

// parting is how long a peer may take to close its side.
const parting = 2 * time.Second

// part ends our side first and lets the peer end its own: certdeploy's client logs
// an error for a connection that is reset under it.
func (c *connection) part() {
	half, ok := c.raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	late := time.AfterFunc(parting, func() { c.ssh.Close() })
	defer late.Stop()
	c.ssh.Wait()
}

// peerOf tells the peers apart by how they introduce themselves.
func peerOf(version string) Peer {
	switch {
	case strings.HasPrefix(version, "SSH-2.0-certfleet-agent"):
		return Agent
	case strings.HasPrefix(version, "SSH-2.0-paramiko"): // what certdeploy is made of
		return Certdeploy
	}
	return OpenSSH
}

// session is one SFTP channel.
type session struct {
	*sftp.Client
	ssh *ssh.Session
}

// goodbye is how long a peer may take to close a channel. An agent works in that
// time, so it may take as long as the whole delivery.
const goodbye = 5 * time.Second

func (t *Target) session(c *connection) (*session, error) {
	s, err := c.ssh.NewSession()
	if err != nil {
		return nil, t.explain("open a session", err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.RequestSubsystem("sftp"); err != nil {
		s.Close()
		return nil, t.explain("start sftp", err)
	}
	client, err := sftp.NewClientPipe(out, in)
	if err != nil {
		s.Close()
		return nil, t.explain("start sftp", err)
	}
	return &session{client, s}, nil
}

// end closes the channel and waits for the other side to do so too: an agent
// does that when it has worked through what was sent.
func (s *session) end(c *connection) {
	patience := goodbye
	if c.peer == Agent {
		patience = whole
		done := make(chan struct{})
		defer close(done)
		go c.alive(done)
	}
	late := time.AfterFunc(patience, func() { c.ssh.Close() })
	defer late.Stop()
	s.Client.Close()
	s.ssh.Close()
}

// alive keeps something moving while an agent works, until done is closed. One
// that does not answer it any more loses the connection.
func (c *connection) alive(done <-chan struct{}) {
	beat := time.NewTicker(c.beat)
	defer beat.Stop()
	for {
		select {
		case <-done:
			return
		case <-beat.C:
			if _, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil); err != nil {
				return
			}
		}
	}
}

// moving is a connection that ends when nothing moves on it.
type moving struct {
	net.Conn
	idle time.Duration
	mu   sync.Mutex // guards the deadline's order
}

func newMoving(c net.Conn, idle time.Duration) *moving {
	c.SetDeadline(time.Now().Add(idle))
	return &moving{Conn: c, idle: idle}
}

func (m *moving) moved(n int, err error) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > 0 {
		m.Conn.SetDeadline(time.Now().Add(m.idle))
	}
	return n, err
}

// Read is the connection's, and notes that something moved.
func (m *moving) Read(b []byte) (int, error) { return m.moved(m.Conn.Read(b)) }

// Write is the connection's, and notes that something moved.
func (m *moving) Write(b []byte) (int, error) { return m.moved(m.Conn.Write(b)) }

// explain gives the failures of every day their advice.
func (t *Target) explain(doing string, err error) error {
	if e, ok := errors.AsType[*certfleet.Error](err); ok || err == nil {
		if e != nil {
			return e
		}
		return nil
	}
	e := &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("%s at %s did not succeed", doing, t.addr()), Advice: "look at the SSH server's log on the host", Err: err}
	var netErr net.Error
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Advice = certfleet.Denied, fmt.Sprintf("let user %s write into %q on the host", t.c.User, t.c.Path)
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Advice = certfleet.NotFound, "create the folder on the host, or correct path"
	case statusOf(err) == statusFailure:
		e.Kind, e.Advice = certfleet.Limited, "look for free space and quota on the host; the SSH server does not say more"
	case strings.Contains(err.Error(), "unable to authenticate"):
		e.Kind, e.Advice = certfleet.Denied, fmt.Sprintf("put the public key into the authorized keys of user %s on the host", t.c.User)
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Advice = "start the SSH server on the host, or correct host and port"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		e.Msg, e.Advice = fmt.Sprintf("%s does not answer in time (%s)", t.addr(), doing), "check firewalls and the load of the host"
	}
	return e
}

// statusFailure is what a server answers that has no better word, on a full disk
// for one (draft-ietf-secsh-filexfer-02 section 7).
const statusFailure = 4

func statusOf(err error) uint32 {
	if s, ok := errors.AsType[*sftp.StatusError](err); ok {
		return s.Code
	}
	return 0
}
