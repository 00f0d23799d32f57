package edge

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/trial"
)

// swallower passes connections on to an address. Those that are open when it is
// told to swallow stay open, and nothing comes through them any more, as when a
// firewall forgets them; new ones pass.
type swallower struct {
	net.Listener
	to string

	mu   sync.Mutex
	dead []chan struct{} // guarded by mu; closed by swallow
}

func newSwallower(t testing.TB, to string) *swallower {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &swallower{Listener: ln, to: to}
	var group sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		group.Wait()
	})
	group.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			group.Go(func() { s.pass(conn) })
		}
	})
	return s
}

func (s *swallower) pass(conn net.Conn) {
	defer conn.Close()
	far, err := net.Dial("tcp", s.to)
	if err != nil {
		return
	}
	defer far.Close()
	dead := make(chan struct{})
	s.mu.Lock()
	s.dead = append(s.dead, dead)
	s.mu.Unlock()
	var group sync.WaitGroup
	group.Go(func() {
		relay(conn, far, dead)
		conn.Close()
	})
	group.Go(func() {
		relay(far, conn, dead)
		far.Close()
	})
	group.Wait()
}

// relay copies until either side ends; once dead is closed it only reads.
func relay(to io.Writer, from io.Reader, dead chan struct{}) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		select {
		case <-dead:
		default:
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
}

// swallow makes all open connections dead, and answers how many.
func (s *swallower) swallow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, dead := range s.dead {
		close(dead)
	}
	n := len(s.dead)
	s.dead = nil
	return n
}

func TestChangeIsServedInTimeAlthoughConnectionsDiedUnnoticed(t *testing.T) {
	trial.InFull(t)
	r, through := behind(t, settings{Workers: 2})
	r.listening()
	time.Sleep(time.Second) // the connection has been asked by now, and lives
	newRenewal(r, 5).run(2, func() {
		if n := through.swallow(); n < 3 { // the listener's, and one of each worker
			t.Errorf("%d connections were open", n)
		}
	})
}

// behind is a rig whose nginx reaches Redis through a swallower, and waits for it
// as long as by default.
func behind(t *testing.T, s settings) (*rig, *swallower) {
	t.Helper()
	var through *swallower
	s.Before = func(r *rig) {
		through = newSwallower(t, r.server.Addr)
		r.Options = fmt.Sprintf("redis = %q, redis_connect_timeout = 200, redis_read_timeout = 500, wait = 2", "redis://"+through.Addr().String()+"/9")
	}
	return start(t, s), through
}

func TestLivingSilentConnectionIsKept(t *testing.T) {
	trial.InFull(t)
	r, through := behind(t, settings{})
	r.listening()
	time.Sleep(3 * time.Second)
	if n := through.swallow(); n != 2 { // the listener's, and the one that asked what it missed
		t.Errorf("%d connections were made in three silent seconds, want 2", n)
	}
	if log := r.log(); contains(log, "listen in Redis: ") || contains(log, "timed out") {
		t.Errorf("the listener began anew, or fills the log:\n%s", r.log())
	}
}
