package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/certfleet/certfleet"
)

var errNothing = errors.New("the handshake showed no certificate")

// explain says why nothing was served. Errors of the house (a guarded dialer
// that refuses) are told as they are.
func explain(s Seen, err error) error {
	if e, ok := errors.AsType[*certfleet.Error](err); ok {
		return e
	}
	why, advice := reason(s, err)
	return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("%s %s", s.Address, why), Advice: advice, Err: err}
}

func reason(s Seen, err error) (why, advice string) {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "has no address", "correct the probe address, or create its A or AAAA record"
	}
	if a, ok := errors.AsType[tls.AlertError](err); ok {
		return fmt.Sprintf("refused the handshake for %s (%s)", shown(s), a.Error()), "check that the server has a certificate for this name and is loaded with it"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return fmt.Sprintf("refused the handshake for %s (%s)", shown(s), op.Err), "check that the server has a certificate for this name and is loaded with it"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "does not speak TLS", "name a port that serves TLS"
	}
	return netReason(err)
}

func netReason(err error) (why, advice string) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses connections", "start the server there, or correct the probe address"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "cannot be reached from here", "check the route and the address family from this machine"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), timedOut(err):
		return "did not answer in time", "check firewalls between this machine and the server"
	case errors.Is(err, context.Canceled):
		return "was not looked at to the end", "look again"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE):
		return "closed the connection during the handshake", "check that the port serves TLS, and the server's log"
	}
	return "did not complete a handshake", "check the server's log"
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func shown(s Seen) string {
	if s.ServerName == "" {
		return s.Name.String() + " (no server name is sent for an address)"
	}
	return s.ServerName
}
