package sftp

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestSuiteAtAnAgentOfAnOlderRelease pushes files with a manifest, as to an agent
// that takes no parcels.
func TestSuiteAtAnAgentOfAnOlderRelease(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	targettest.Run(t, func(t *testing.T) (certfleet.Target, targettest.Reader) {
		h, live := ours(t, nil)
		target := h.target(t, nil)
		target.filesOnly = true
		return target, func(c string) ([]byte, []byte, error) { return readPair(lineageDir(t, filepath.Join(live, "live"), c)) }
	})
}

// TestAnAgentThatTakesNoParcelsGetsFiles has a server that introduces itself as our
// agent and knows SFTP alone.
func TestAnAgentThatTakesNoParcelsGetsFiles(t *testing.T) {
	t.Parallel()
	s := certdeployStandIn(t, "SSH-2.0-certfleet-agent", false)
	deliver(t, s.target(t, nil), shop(t, 1))
	if b, err := os.ReadFile(filepath.Join(s.dir, "shop", "manifest.json")); err != nil || !strings.Contains(string(b), "privkey.pem") {
		t.Errorf("the manifest is %q, %v", b, err)
	}
}

// TestParcelsLieNowhereButLive looks whether a push leaves anything in staging, not
// even what an earlier push left there.
func TestParcelsLieNowhereButLive(t *testing.T) {
	t.Parallel()
	h, _ := ours(t, nil)
	staged := filepath.Join(h.folder, "shop")
	if err := os.Mkdir(staged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(staged, "fullchain.pem"), shop(t, 1).ChainPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, h.target(t, nil), shop(t, 2), targettest.Bundle(t, "cafe", 1, "cafe.example.com"))
	left, err := os.ReadDir(h.folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != ".agent" {
			t.Errorf("%s is left in staging", e.Name())
		}
	}
}

// TestAConnectionThatBreaksLeavesTheRestToTheNextTry cuts a push of many after some
// of its bytes: what the agent did not speak of failed, and all of it arrives later.
func TestAConnectionThatBreaksLeavesTheRestToTheNextTry(t *testing.T) {
	t.Parallel()
	h, live := ours(t, nil)
	var all []certfleet.Bundle
	for _, label := range []string{"a", "b", "c", "d"} {
		all = append(all, targettest.Bundle(t, label, 1, label+".example.com"))
	}
	for _, bytes := range []int{6_000, 9_000, 12_000, 15_000} {
		cut := h
		cut.port = cutter(t, h.port, bytes)
		for _, r := range deliver(t, cut.target(t, nil), all...) {
			if r.Applied != (r.Err == nil) {
				t.Errorf("cut after %d bytes: %s applied %v, %v", bytes, r.Certificate, r.Applied, r.Err)
			}
			if r.Err != nil {
				refused(t, r.Err, certfleet.Unreachable)
			}
		}
		for _, b := range all {
			chain, key, err := readPair(lineageDir(t, filepath.Join(live, "live"), b.Certificate))
			if err != nil || (chain == nil) != (key == nil) {
				t.Errorf("cut after %d bytes: %s is half there, %v", bytes, b.Certificate, err)
			}
		}
	}
	must(t, h.target(t, nil), all...)
	for _, b := range all {
		if chain, _, _ := readPair(lineageDir(t, filepath.Join(live, "live"), b.Certificate)); string(chain) != string(b.ChainPEM) {
			t.Errorf("%s did not arrive", b.Certificate)
		}
	}
}

// cutter passes so many bytes on towards a port, and then ends the connection.
func cutter(t *testing.T, port, bytes int) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err != nil {
				from.Close()
				return
			}
			all.Go(func() { pass(from, to, 1<<30) })
			all.Go(func() { pass(to, from, bytes) })
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

// pass copies so many bytes, and then ends both sides.
func pass(to, from net.Conn, most int) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 512)
	for most > 0 {
		n, err := from.Read(b[:min(len(b), most)])
		if _, wrong := to.Write(b[:n]); err != nil || wrong != nil {
			return
		}
		most -= n
	}
}

// TestOneBadParcelStopsNoOther has an agent refuse one of three.
func TestOneBadParcelStopsNoOther(t *testing.T) {
	t.Parallel()
	h, _ := ours(t, nil)
	good, late := shop(t, 1), targettest.Bundle(t, "late", 1, "late.example.com")
	other := targettest.Bundle(t, "cafe", 1, "cafe.example.com")
	other.Names = late.Names // not those of its certificate
	target, err := New(h.config(), dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	r := deliver(t, target, good, other, late)
	if r[0].Err != nil || !r[0].Applied || r[2].Err != nil || !r[2].Applied {
		t.Errorf("the good ones: %+v, %+v", r[0], r[2])
	}
	refused(t, r[1].Err, certfleet.Conflict, "the agent says")
	if held, err := target.Holds(t.Context(), "cafe", certfleet.Receipt{}); held != "" || err != nil {
		t.Errorf("of the bad one it holds %q, %v", held, err)
	}
}
