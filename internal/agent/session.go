package agent

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// session is one SFTP channel. What it wrote goes live when the channel ends; the
// connection may stay open.
type session struct {
	a *Agent

	mu      sync.Mutex         // guards what follows
	open    map[string]*upload // by lineage/file
	touched map[string]bool    // lineages
}

// session serves one channel: one of the two subsystems, once, and nothing else.
func (s *server) session(ctx context.Context, c ssh.NewChannel) {
	ch, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	for r := range requests {
		serve := s.subsystem(r)
		if r.WantReply {
			r.Reply(serve != nil, nil)
		}
		if serve == nil {
			continue // such as env, pty-req, exec and shell
		}
		go ssh.DiscardRequests(requests) // ends with the channel
		serve(ctx, ch)
		return
	}
}

// subsystem is what a request asks for, nil when it is something else.
func (s *server) subsystem(r *ssh.Request) func(context.Context, ssh.Channel) {
	var name struct{ Name string }
	if r.Type != "subsystem" || ssh.Unmarshal(r.Payload, &name) != nil {
		return nil
	}
	switch name.Name {
	case "sftp":
		return s.sftp
	case lineage.Subsystem:
		return s.parcels
	}
	return nil
}

func (s *server) sftp(ctx context.Context, ch ssh.Channel) {
	x := &session{a: s.a, open: map[string]*upload{}, touched: map[string]bool{}}
	rs := sftp.NewRequestServer(ch, sftp.Handlers{FileGet: x, FilePut: x, FileCmd: x, FileList: x}, sftp.WithStartDirectory(s.a.c.Staging))
	defer rs.Close() // by which a pusher knows that all is worked through
	err := rs.Serve()
	if err != nil && !errors.Is(err, io.EOF) {
		s.a.log.Debug("session broke off", "error", err)
	}
	if x.end(context.WithoutCancel(ctx)) {
		nudge(s.changed)
	}
	ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
}

// touch keeps a lineage from going live until the session ends.
func (x *session) touch(name string) {
	if !x.touched[name] {
		x.touched[name] = true
		x.a.staging.hold(name)
	}
}

// end brings to live what the session wrote, and reports whether anything is.
func (x *session) end(ctx context.Context) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name := range x.touched {
		x.a.staging.release(name)
	}
	if len(x.touched) == 0 {
		return false
	}
	r, err := x.a.apply(ctx, slices.Sorted(maps.Keys(x.touched)))
	if err != nil {
		x.a.log.Error("staging could not be looked through", "error", err)
	}
	return len(r.Live) > 0
}
