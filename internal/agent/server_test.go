package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/target/sftp/sshtest"
	"github.com/certfleet/certfleet/internal/trial"
)

func TestOnlyTheConfiguredUserAndKeyGetIn(t *testing.T) {
	t.Parallel()
	extra, _ := sshtest.Key(t, "ed25519")
	file := filepath.Join(t.TempDir(), "authorized")
	k := newKit(t, func(c *Config) { c.SFTP.AuthorizedKeysFile = file })
	k.run()
	stranger, _ := sshtest.Key(t, "ed25519")
	for _, who := range []struct {
		user string
		key  ssh.Signer
	}{{"certfleet", stranger}, {"root", k.login}, {"", k.login}, {"certfleet", extra}} {
		if c, err := k.dialAs(who.user, who.key); err == nil {
			c.Close()
			t.Errorf("%q got in", who.user)
		}
	}
	os.WriteFile(file, append([]byte("# pushers\n"), ssh.MarshalAuthorizedKey(extra.PublicKey())...), 0o600)
	for _, key := range []ssh.Signer{k.login, extra} {
		c, err := k.dialAs("certfleet", key)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func TestNothingButSFTP(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.run()
	conn, c := k.client()
	s, err := conn.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run("id"); err == nil {
		t.Error("a command was run")
	}
	if _, err := conn.Dial("tcp", k.addr); err == nil {
		t.Error("a port was forwarded")
	}
	if l, err := conn.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
		t.Error("a port was opened")
	}
	files := pair(t, time.Hour, "shop.example")
	shop := k.c.Staging + "/shop"
	if err := c.Mkdir(shop); err != nil {
		t.Fatal(err)
	}
	if err := put(c, shop+"/privkey.pem", files[lineage.PrivKey]); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"read":       func() error { _, err := c.Open(shop + "/privkey.pem"); return err }(),
		"rename":     c.Rename(shop+"/privkey.pem", shop+"/cert.pem"),
		"posix":      c.PosixRename(shop+"/privkey.pem", shop+"/cert.pem"),
		"remove":     c.Remove(shop + "/privkey.pem"),
		"rmdir":      c.RemoveDirectory(shop),
		"symlink":    c.Symlink("/etc/passwd", shop+"/cert.pem"),
		"link":       c.Link(shop+"/privkey.pem", shop+"/cert.pem"),
		"readlink":   func() error { _, err := c.ReadLink(shop); return err }(),
		"list":       func() error { _, err := c.ReadDir(shop); return err }(),
		"other name": put(c, shop+"/x.pem", nil),
		"dot file":   put(c, shop+"/.ssh", nil),
	} {
		if err == nil {
			t.Errorf("%s was allowed", what)
		}
	}
}

func TestPathsOutsideOfStagingAreRefused(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.SFTP.Paths = []string{"/var/cache/certdeploy"} })
	k.run()
	outside := filepath.Dir(k.c.Staging)
	os.MkdirAll(k.c.Staging+"-evil/shop", 0o777)
	os.MkdirAll(filepath.Join(outside, "shop"), 0o777)
	os.Symlink(outside, filepath.Join(k.c.Staging, "link"))
	_, c := k.client()
	for _, dir := range []string{
		"..", "../shop", "shop/..", "shop/../..", "....//shop", "....//....//etc", "/", "/etc", "/tmp/shop", "//etc/shop", "/var/cache", "/var/cache/certdeploy/..",
		"/var/cache/certdeploy-evil/shop", k.c.Staging + "-evil/shop", k.c.Staging + "/../shop", k.c.Staging + "/link/shop", "link", "link/shop", ".agent", ".agent/pending", "shop/deep/er", "sh\x00op", "~/shop", `..\shop`,
	} {
		if err := put(c, dir+"/privkey.pem", []byte("x")); err == nil {
			t.Errorf("%q was written to", dir)
		}
		if err := c.Mkdir(dir + "/new"); err == nil && dir != "shop/.." { // which is staging itself
			t.Errorf("a folder was made in %q", dir)
		}
	}
	c.Close()
	filepath.WalkDir(outside, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == lineage.PrivKey {
			t.Errorf("%s was written", p)
		}
		return nil
	})
	_, c = k.client()
	for _, dir := range []string{"a", "./b", "x/../c", k.c.Staging + "/d", "/var/cache/certdeploy/e"} {
		name := filepath.Base(dir)
		c.Mkdir(dir)
		if err := put(c, dir+"/chain.pem", []byte("x")); err != nil {
			t.Errorf("%q is refused: %v", dir, err)
		}
		if _, err := os.Stat(filepath.Join(k.c.Staging, name, "chain.pem")); err != nil {
			t.Errorf("%q led elsewhere: %v", dir, err)
		}
	}
}

// The requests of certdeploy's server, one connection a lineage, each left open.
func TestCertdeployServerMayPush(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.SFTP.Paths, c.SFTP.User = []string{"/var/cache/certdeploy"}, "certdeploy" })
	k.run()
	for i, name := range []string{"shop", "blog", "shop"} {
		files := pair(t, time.Hour+time.Duration(i)*time.Minute, name+".example")
		conn, err := k.dialAs("certdeploy", k.login)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c, err := sftp.NewClient(conn)
		if err != nil {
			t.Fatal(err)
		}
		dir := "/var/cache/certdeploy/" + name
		if _, err := c.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a new lineage is %v, want no such file", err)
		}
		if info, err := c.Stat("/var/cache/certdeploy"); err != nil || !info.IsDir() {
			t.Errorf("the folder above is %v, %v", info, err)
		}
		if err := c.Mkdir(dir); err != nil {
			t.Error(err)
		}
		for _, f := range []string{lineage.FullChain, lineage.PrivKey} {
			if err := put(c, dir+"/"+f, files[f]); err != nil {
				t.Error(err)
			}
			if info, err := c.Stat(dir + "/" + f); err != nil || info.Size() != int64(len(files[f])) {
				t.Errorf("the look after the push shows %v, %v", info, err)
			}
		}
		c.Close() // the channel alone
		k.eventually(name+" is live", func() bool {
			chain, _ := k.Agent.read(name)
			return bytes.Equal(chain, files[lineage.FullChain])
		})
	}
}

func TestConnectionLeftOpenIsClosedAfterItsLastChannel(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	k := newKit(t, nil)
	k.linger = time.Second
	k.run()
	conn, c := k.client()
	time.Sleep(2 * k.linger) // a channel is open
	if _, err := c.Stat(k.c.Staging); err != nil {
		t.Errorf("it was closed while a channel was open: %v", err)
	}
	c.Close()
	began := time.Now()
	conn.Wait()
	if took := time.Since(began); took > trial.Patience/2 {
		t.Errorf("it was closed after %s", took)
	}
}

func TestFileThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.run()
	good, next := pair(t, time.Hour, "shop.example"), pair(t, 2*time.Hour, "shop.example")
	conn, c := k.client()
	push := func(c *sftp.Client, files map[string][]byte, names ...string) {
		c.Mkdir("shop")
		for _, f := range names {
			if err := put(c, "shop/"+f, files[f]); err != nil {
				t.Fatal(err)
			}
		}
	}
	push(c, good, lineage.FullChain, lineage.PrivKey)
	c.Close()
	conn.Close()
	k.serves("shop", good)

	// In the middle of the first file, and between the two.
	for _, whole := range []bool{false, true} {
		conn, c := k.client()
		c.Mkdir("shop")
		f, err := c.OpenFile("shop/"+lineage.FullChain, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(next[lineage.FullChain][:len(next[lineage.FullChain])/2]); err != nil {
			t.Fatal(err)
		}
		if whole {
			f.Close()
			push(c, next, lineage.FullChain)
		}
		conn.Close()
		k.eventually("the session ends", func() bool { return !k.staging.held("shop") })
		k.status(t.Context(), "shop") // waits for what is being applied
		k.serves("shop", good)
		_, err = os.Stat(filepath.Join(k.c.Staging, "shop", lineage.FullChain))
		if whole == (err != nil) {
			t.Errorf("whole=%v: in staging: %v", whole, err)
		}
	}
	conn, c = k.client()
	push(c, next, lineage.FullChain, lineage.PrivKey)
	c.Close()
	conn.Close()
	k.serves("shop", next)
}

func TestLimitsOfOneSession(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.SFTP.MaxFile = config.Size(4 << 10) })
	k.run()
	_, c := k.client()
	if err := put(c, "shop/fullchain.pem", bytes.Repeat([]byte("x"), 5<<10)); err == nil {
		t.Error("a file that is too large was taken")
	}
	if f, err := c.OpenFile("shop/chain.pem", os.O_WRONLY|os.O_CREATE); err == nil {
		if _, err := f.WriteAt([]byte("x"), 1<<40); err == nil {
			t.Error("a write far beyond the end was taken")
		}
		f.Close()
	}
	open := 0
	for i := range 40 {
		if _, err := c.OpenFile(fmt.Sprintf("l%d/chain.pem", i), os.O_WRONLY|os.O_CREATE); err == nil {
			open++
		}
	}
	if open > maxOpen {
		t.Errorf("%d files are open at a time", open)
	}
	if entries, _ := os.ReadDir(filepath.Join(k.c.Staging, "shop")); len(entries) != 0 {
		t.Errorf("staging holds %v", entries)
	}
}

func TestConnectionsAreLimitedAndIdleOnesEnd(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) {
		c.SFTP.MaxConnections, c.SFTP.Idle, c.SFTP.Handshake = 3, certfleet.Duration(500*time.Millisecond), certfleet.Duration(300*time.Millisecond)
	})
	k.run()
	var silent []net.Conn
	for i := range 3 { // they say nothing, so they have the time of a handshake
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(i+2))}}
		c, err := from.DialContext(t.Context(), "tcp", k.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	began := time.Now()
	for _, c := range silent {
		c.SetReadDeadline(time.Now().Add(trial.Patience))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("a silent connection is still there: %v", err)
		}
	}
	if took := time.Since(began); took > trial.Patience/2 {
		t.Errorf("silent connections ended after %s", took)
	}
	var conn *ssh.Client
	k.eventually("there is room again", func() (ok bool) {
		var err error
		conn, err = k.dialAs("certfleet", k.login)
		return err == nil
	})
	began = time.Now()
	conn.Wait()
	if took := time.Since(began); took > trial.Patience/2 {
		t.Errorf("an idle connection ended after %s", took)
	}
}

func TestOneAddressCannotTakeTheRoomOfAll(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.SFTP.MaxConnections = 8 })
	k.run()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range 20 {
		c, err := from.DialContext(t.Context(), "tcp", k.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	k.eventually("somebody else gets in", func() bool {
		conn, err := k.dialAs("certfleet", k.login)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func TestTwoAgentsDoNotShareAStagingFolder(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	_, err := New(k.c, nil)
	refused(t, err, certfleet.Conflict)
}

// Ten thousand strangers, each with another kind of nonsense; in the end a pusher
// is served as before.
func TestBadHandshakesLeaveItServing(t *testing.T) {
	t.Parallel()
	n := 10000
	if testing.Short() {
		n = 500
	}
	k := newKit(t, func(c *Config) { c.SFTP.Handshake = certfleet.Duration(2 * time.Second) })
	k.run()
	nonsense := [][]byte{
		{}, []byte("\r\n"), []byte("SSH-2.0-x\r\n"), []byte("SSH-1.5-old\r\n"), []byte("GET / HTTP/1.1\r\n\r\n"), bytes.Repeat([]byte("A"), 300),
		append([]byte("SSH-2.0-x\r\n"), 0xff, 0xff, 0xff, 0xff, 1, 20), append([]byte("SSH-2.0-x\r\n"), 0, 0, 0, 12, 10, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		append([]byte("SSH-2.0-x\r\n"), bytes.Repeat([]byte{0}, 64)...), []byte("\x16\x03\x01\x02\x00\x01\x00"),
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			c, err := net.Dial("tcp", k.addr)
			if err != nil {
				return
			}
			defer c.Close()
			msg := bytes.Clone(nonsense[i%len(nonsense)])
			if i%3 == 0 && len(msg) > 12 { // another byte is wrong each time
				msg[12+rand.IntN(len(msg)-12)] ^= byte(1 + rand.IntN(255))
			}
			c.Write(msg)
		})
	}
	all.Wait()
	files := pair(t, time.Hour, "shop.example")
	k.eventually("a pusher gets in", func() bool {
		conn, err := k.dialAs("certfleet", k.login)
		if err != nil {
			return false
		}
		defer conn.Close()
		c, err := sftp.NewClient(conn)
		if err != nil {
			return false
		}
		defer c.Close()
		c.Mkdir("shop")
		return errors.Join(put(c, "shop/fullchain.pem", files[lineage.FullChain]), put(c, "shop/privkey.pem", files[lineage.PrivKey])) == nil
	})
	k.serves("shop", files)
}

func TestNoSecretInTheLog(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	stop := k.run()
	files := pair(t, time.Hour, "shop.example")
	other := pair(t, time.Hour, "shop.example")
	for _, key := range [][]byte{other[lineage.PrivKey], files[lineage.PrivKey]} {
		conn, c := k.client()
		c.Mkdir("shop")
		put(c, "shop/fullchain.pem", files[lineage.FullChain])
		put(c, "shop/privkey.pem", key)
		c.Close()
		conn.Close()
	}
	stop()
	log := k.log.String()
	if !strings.Contains(log, "certificate is live") || !strings.Contains(log, "certificate not taken") {
		t.Errorf("the log tells neither: %s", log)
	}
	for _, files := range []map[string][]byte{files, other} {
		for line := range bytes.Lines(files[lineage.PrivKey]) {
			if text := strings.TrimSpace(string(line)); len(text) > 8 && !strings.HasPrefix(text, "-----") && strings.Contains(log, text) {
				t.Error("a key's line is in the log")
			}
		}
	}
}

func FuzzWhere(f *testing.F) {
	for _, p := range []string{"/s", "/s/shop/privkey.pem", "/s/../etc", "/s/..", "/s/.agent/pending/x", "/s-evil/x", "/s/a//b", "/s/_.x/y", "/s/%2E%2E/x"} {
		f.Add(p)
	}
	a := &Agent{c: Config{Staging: "/s", SFTP: SFTP{Paths: []string{"/var/cache/certdeploy"}}}}
	f.Fuzz(func(t *testing.T, p string) {
		at, err := a.where(p)
		if err != nil {
			return
		}
		for _, part := range []string{at.name, at.file} {
			if part == ".." || strings.ContainsAny(part, "/") {
				t.Errorf("%q leads to %+v", p, at)
			}
		}
		if strings.HasPrefix(at.name, ".") || strings.ContainsRune(at.name, 0) {
			t.Errorf("%q leads to %+v", p, at)
		}
	})
}
