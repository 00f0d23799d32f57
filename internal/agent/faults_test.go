package agent

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

// syncUnder runs the agent's one-shot sync as a process of its own, behind another
// program that takes something away from it.
func (k *kit) syncUnder(argv ...string) (said string, ok bool) {
	k.Helper()
	cmd := agentProgram(k, "--config "+k.write("127.0.0.1:0", "")+" sync")
	cmd.Args = append(argv, cmd.Path)
	path, err := exec.LookPath(argv[0])
	if err != nil {
		k.Fatal(err)
	}
	cmd.Path = path
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// converges has the last good pair live, and then syncs with nothing in the way.
func (k *kit) converges(good, next map[string][]byte) {
	k.Helper()
	k.serves("shop", good)
	if left, _ := filepath.Glob(filepath.Join(k.c.Dir, "live", "*")); len(left) != 1 {
		k.Errorf("live are %v, want one lineage", left)
	}
	if said, ok := k.syncUnder("env"); !ok {
		k.Errorf("the next run: %s", said)
	}
	k.serves("shop", next)
}

func TestAFullDiskLeavesTheLastGoodPair(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	good, next := pair(t, time.Hour, "shop.example"), pair(t, 2*time.Hour, "shop.example")
	k.stage("shop", good)
	k.sync()
	k.Close() // the program has the folder
	k.stage("shop", next)
	// No file may grow beyond a block, as if the disk had no room for more.
	said, ok := k.syncUnder("sh", "-c", `trap "" XFSZ; ulimit -f 1; exec "$0"`)
	if ok || !strings.Contains(said, "advice:") {
		t.Errorf("with a full disk it ended well: %s", said)
	}
	k.converges(good, next)
}

func TestAFolderThatMayNotBeWrittenLeavesTheLastGoodPair(t *testing.T) {
	t.Parallel()
	without := []string{"env"}
	if os.Getuid() == 0 { // root may write anywhere, unless this is taken away
		if _, err := exec.LookPath("setpriv"); err != nil {
			t.Skip("running as root, and setpriv is not installed")
		}
		without = []string{"setpriv", "--bounding-set=-dac_override"}
	}
	k := newKit(t, nil)
	good, next := pair(t, time.Hour, "shop.example"), pair(t, 2*time.Hour, "shop.example")
	k.stage("shop", good)
	k.sync()
	k.Close()
	k.stage("shop", next)
	archive := filepath.Join(k.c.Dir, "archive", "shop")
	if err := os.Chmod(archive, 0o500); err != nil {
		t.Fatal(err)
	}
	said, ok := k.syncUnder(without...)
	if ok || !strings.Contains(said, "advice: let the user") {
		t.Errorf("without permission it said: %s", said)
	}
	os.Chmod(archive, 0o700)
	k.converges(good, next)
}

func TestAWrongClockKeepsPairsOutUntilItIsRight(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	good, next := pair(t, 24*time.Hour, "shop.example"), pair(t, 48*time.Hour, "shop.example")
	k.stage("shop", good)
	k.sync()
	k.stage("shop", next)
	for what, now := range map[string]time.Time{"days behind": time.Now().Add(-72 * time.Hour), "days ahead": time.Now().Add(72 * time.Hour)} {
		if _, err := k.propose("shop", now); err == nil || certfleet.AdviceOf(err) == "" {
			t.Errorf("with a clock that is %s: %v", what, err)
		}
	}
	k.serves("shop", good)
	k.sync()
	k.serves("shop", next)
}

// TestAClockThatWasAheadStopsNothing has a generation on disk with a number from the future.
func TestAClockThatWasAheadStopsNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	good, next := pair(t, 24*time.Hour, "shop.example"), pair(t, 48*time.Hour, "shop.example")
	k.stage("shop", good)
	p, err := k.propose("shop", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.live.put(t.Context(), []proposal{p}); err != nil || got[0].Err != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	k.stage("shop", next)
	k.sync()
	k.serves("shop", next)
}

func TestAServiceThatHangsAndForksHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child, mended, calls := filepath.Join(dir, "child"), filepath.Join(dir, "mended"), filepath.Join(dir, "calls")
	hang := fmt.Sprintf("  hang:\n    type: script\n    command: [sh, -c, 'test -e %s || { (sleep 60 & echo $! > %s; wait) & wait; }']\n    timeout: 2s\n    retries: -1\n", mended, child)
	k := newKit(t, func(c *Config) { c.Updaters = settings(t, "updaters:\n"+hang+noting("web", calls, "")) })
	good := pair(t, time.Hour, "shop.example")
	k.stage("shop", good)
	began := time.Now()
	r := k.sync()
	if r.Updates[0].OK || !r.Updates[1].OK || time.Since(began) > trial.Patience/2 {
		t.Errorf("after %s: %+v", time.Since(began), r.Updates)
	}
	k.serves("shop", good)
	var pid int
	text, _ := os.ReadFile(child)
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatalf("the child left no number: %q", text)
	}
	k.eventually("the child is ended", func() bool { return gone(pid) })
	os.WriteFile(mended, nil, 0o600)
	if r := k.sync(); len(r.Updates) == 0 || !r.Updates[0].OK {
		t.Errorf("the next run: %+v", r.Updates)
	}
	if got := lines(t, calls); len(got) != 1 {
		t.Errorf("the service that was told heard again: %v", got)
	}
}

// gone reports whether a process runs no more; one that nobody waited for is gone too.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// deaf is a connection that reads no more once it is told so, until the end.
type deaf struct {
	net.Conn
	stop, end chan struct{}
}

func (d *deaf) Read(b []byte) (int, error) {
	select {
	case <-d.stop:
		<-d.end
	default:
	}
	return d.Conn.Read(b)
}

func TestAPeerThatReadsNothingIsGivenUp(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	k := newKit(t, func(c *Config) { c.SFTP.Idle, c.SFTP.MaxConnections = certfleet.Duration(5*time.Second), 1 })
	k.run()
	raw, err := net.Dial("tcp", k.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	d := &deaf{Conn: raw, stop: make(chan struct{}), end: make(chan struct{})}
	defer close(d.end)
	conn, _, _, err := ssh.NewClientConn(d, k.addr, &ssh.ClientConfig{User: "certfleet", Auth: []ssh.AuthMethod{ssh.PublicKeys(k.login)}, HostKeyCallback: ssh.FixedHostKey(k.host.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	ch, _, err := conn.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := ch.SendRequest("subsystem", true, []byte("\x00\x00\x00\x04sftp")); err != nil || !ok {
		t.Fatal(ok, err)
	}
	close(d.stop)
	ch.Write([]byte("\x00\x00\x00\x05\x01\x00\x00\x00\x03")) // INIT; its answer is read by nobody
	k.eventually("the only place is free again", func() bool {
		c, err := k.dialAs("certfleet", k.login)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	good := pair(t, time.Hour, "shop.example")
	var c *sftp.Client
	k.eventually("a push begins when the last one's place is free", func() bool {
		conn, err := k.dialAs("certfleet", k.login)
		if err != nil {
			return false
		}
		t.Cleanup(func() { conn.Close() })
		c, err = sftp.NewClient(conn)
		return err == nil
	})
	pushPair(t, c, "shop", good)
	c.Close()
	k.eventually("a push goes live", func() bool { chain, _ := k.read("shop"); return chain != nil })
	k.serves("shop", good)
}
