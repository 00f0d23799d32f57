package edge

import (
	"syscall"
	"testing"

	"github.com/certfleet/certfleet/internal/trial"
)

// A handshake that takes too long takes its lookup with it: nginx ends the Lua of
// the connection in the middle, and what stands behind it never runs.
func TestALookupThatNginxEndsHoldsNobodyUpForLong(t *testing.T) {
	trial.InFull(t)
	r := start(t, settings{Http: "client_header_timeout 1s;", Options: "redis_read_timeout = 5000, wait = 0.5, error_ttl = 0.2"})
	known := r.bundle(1, "known.example.com")
	r.deliver(known)
	if err := syscall.Kill(r.server.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(r.server.PID(), syscall.SIGCONT)
	if _, err := (hello{name: "known.example.com"}).shake(r.TLS); err == nil {
		t.Fatal("the handshake ended while Redis stood still")
	}
	syscall.Kill(r.server.PID(), syscall.SIGCONT)
	r.eventually("the pair of the name that was asked for", func() bool { return r.served("known.example.com") == known.Fingerprint })
}
