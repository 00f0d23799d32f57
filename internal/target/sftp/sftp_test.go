package sftp

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/target/sftp/sshtest"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

func shop(t testing.TB, version int64) certfleet.Bundle {
	t.Helper()
	return targettest.Bundle(t, "shop", version, "shop.example.com")
}

func deliver(t testing.TB, target *Target, bundles ...certfleet.Bundle) []certfleet.Receipt {
	t.Helper()
	receipts, err := target.Deliver(t.Context(), bundles, nil)
	if err != nil || len(receipts) != len(bundles) {
		t.Fatalf("%d receipts, %v", len(receipts), err)
	}
	return receipts
}

func must(t testing.TB, target *Target, bundles ...certfleet.Bundle) {
	t.Helper()
	for _, r := range deliver(t, target, bundles...) {
		if r.Err != nil {
			t.Fatalf("%s: %v (%s)", r.Certificate, r.Err, certfleet.AdviceOf(r.Err))
		}
	}
}

// refused expects one kind of error, with advice, and words in it.
func refused(t testing.TB, err error, kind certfleet.Kind, words ...string) {
	t.Helper()
	if err == nil || certfleet.KindOf(err) != kind || certfleet.AdviceOf(err) == "" {
		t.Errorf("got %v (kind %v, advice %q), want kind %v", err, certfleet.KindOf(err), certfleet.AdviceOf(err), kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in %v", w, err)
		}
	}
}

func TestHostKeysOfAllTypesArePinned(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		h := sshd(t, kind)
		must(t, h.target(t, nil), shop(t, 1))
		must(t, h.target(t, func(c *Config) { c.HostKeys = []string{"[127.0.0.1]:22 " + h.hostKey} }), shop(t, 1))
		parsed, err := parsePins([]string{h.hostKey})
		if err != nil {
			t.Fatal(err)
		}
		must(t, h.target(t, func(c *Config) { c.HostKeys = parsed.fingerprints }), shop(t, 1))
		must(t, h.target(t, func(c *Config) { c.HostKeys = []string{strings.Fields(h.hostKey)[1]} }), shop(t, 1))
	}
}

func TestChangedHostKeyGetsNothing(t *testing.T) {
	t.Parallel()
	h := sshd(t, "ed25519")
	for _, kind := range []string{"ed25519", "rsa"} {
		_, other := sshtest.KeyFile(t, kind)
		known, _ := parsePins([]string{other})
		shown, _ := parsePins([]string{h.hostKey})
		r := deliver(t, h.target(t, func(c *Config) { c.HostKeys = []string{other} }), shop(t, 1))[0]
		refused(t, r.Err, certfleet.Denied, known.fingerprints[0], shown.fingerprints[0])
	}
	if _, err := os.Stat(h.folder); err == nil {
		t.Error("something was written to a host with another key")
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, key := sshtest.KeyFile(t, "ed25519")
	no := false
	good := Config{Host: "edge1", Key: "file:/k", HostKeys: []string{key}}
	for name, change := range map[string]func(*Config){
		"no host": func(c *Config) { c.Host = "" }, "user in host": func(c *Config) { c.Host = "a@b" }, "port": func(c *Config) { c.Port = 70000 },
		"no key": func(c *Config) { c.Key = "" }, "no host key": func(c *Config) { c.HostKeys = nil }, "garbled host key": func(c *Config) { c.HostKeys = []string{"ssh-ed25519 AAAA"} },
		"wrong type": func(c *Config) { c.HostKeys = []string{strings.Replace(key, "ssh-ed25519", "ssh-rsa", 1)} }, "authority": func(c *Config) { c.HostKeys = []string{"@cert-authority * " + key} },
		"peer": func(c *Config) { c.Peer = "windows" }, "nothing": func(c *Config) { c.NeedsFullchain, c.NeedsPrivkey = &no, &no },
	} {
		c := good
		change(&c)
		_, err := New(c, dial.Deps{})
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		refused(t, err, certfleet.Invalid)
	}
	if _, err := New(good, dial.Deps{}); err != nil {
		t.Error(err)
	}
}

func TestLoginProblemsCarryAdvice(t *testing.T) {
	t.Parallel()
	h := sshd(t, "ed25519")
	other, _ := sshtest.KeyFile(t, "ed25519")
	refused(t, deliver(t, h.target(t, func(c *Config) { c.Key = "file:" + other }), shop(t, 1))[0].Err, certfleet.Denied)
	refused(t, deliver(t, h.target(t, func(c *Config) { c.Key = "file:" + other + ".none" }), shop(t, 1))[0].Err, certfleet.NotFound)
	garbled := filepath.Join(t.TempDir(), "key")
	os.WriteFile(garbled, []byte("hunter2hunter2"), 0o600)
	err := deliver(t, h.target(t, func(c *Config) { c.Key = "file:" + garbled }), shop(t, 1))[0].Err
	if refused(t, err, certfleet.Invalid); strings.Contains(err.Error(), "hunter2") {
		t.Error("the error repeats the secret")
	}
	refused(t, deliver(t, h.target(t, func(c *Config) { c.Port = porttest.Port(t) }), shop(t, 1))[0].Err, certfleet.Unreachable)
}

func TestModesAndChosenFilesAtOpenSSH(t *testing.T) {
	t.Parallel()
	h := sshd(t, "ed25519")
	must(t, h.target(t, func(c *Config) { c.NeedsChain = true }), shop(t, 1))
	for name, want := range map[string]os.FileMode{"privkey.pem": 0o600, "fullchain.pem": 0o644, "chain.pem": 0o644} {
		info, err := os.Stat(filepath.Join(h.folder, "shop", name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	no := false
	h.folder += "-certs-only"
	must(t, h.target(t, func(c *Config) { c.NeedsPrivkey = &no }), shop(t, 1))
	if _, err := os.Stat(filepath.Join(h.folder, "shop", "privkey.pem")); !os.IsNotExist(err) {
		t.Errorf("a key that nobody needs was pushed: %v", err)
	}
}

func TestReadersNeverSeeTwoVersionsAtOpenSSH(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	h := sshd(t, "ed25519")
	target := h.target(t, nil)
	must(t, target, shop(t, 1))
	done := make(chan int)
	stop := make(chan struct{})
	go func() {
		bad := 0
		for {
			select {
			case <-stop:
				done <- bad
				return
			default:
			}
			dir, err := filepath.EvalSymlinks(filepath.Join(h.folder, "shop"))
			if err != nil {
				bad++
				continue
			}
			if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem")); err != nil {
				bad++
			}
		}
	}()
	for v := range int64(8) {
		must(t, target, shop(t, v+2))
	}
	close(stop)
	if bad := <-done; bad > 0 {
		t.Errorf("%d reads saw no pair", bad)
	}
	kept, err := os.ReadDir(filepath.Join(h.folder, ".certfleet", "shop"))
	if err != nil || len(kept) != 2 {
		t.Errorf("%d versions are kept, %v; want the current one and the one before", len(kept), err)
	}
}

func TestFolderOfAnotherMakerStaysAFolder(t *testing.T) {
	t.Parallel()
	h := sshd(t, "ed25519")
	dir := filepath.Join(h.folder, "shop")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "fullchain.pem"), []byte("old"), 0o644)
	os.WriteFile(filepath.Join(dir, "notes"), []byte("mine"), 0o644)
	must(t, h.target(t, nil), shop(t, 3))
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		t.Fatalf("it became %v, %v", info, err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem")); err != nil {
		t.Error(err)
	}
	if err := h.target(t, nil).Remove(t.Context(), "shop", certfleet.Receipt{}); err != nil {
		t.Error(err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 1 || left[0].Name() != "notes" {
		t.Errorf("after the removal %v is left, want the stranger's file alone", left)
	}
}

func TestPathProblemsAtOpenSSH(t *testing.T) {
	t.Parallel()
	h := sshd(t, "ed25519")
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	r := deliver(t, h.target(t, func(c *Config) { c.Path = file }), shop(t, 1))[0]
	if r.Err == nil || certfleet.AdviceOf(r.Err) == "" || r.Applied {
		t.Errorf("a file as folder: %+v", r)
	}
	r = deliver(t, h.target(t, func(c *Config) { c.Path = "/proc/nothing" }), shop(t, 1))[0]
	if r.Err == nil || certfleet.AdviceOf(r.Err) == "" || r.Applied {
		t.Errorf("a folder that cannot be made: %+v", r)
	}
}

// The wire of certdeploy's client: no other request, one connection for all, keys
// for their owner alone.
func TestCertdeployClientGetsOnlyWhatItKnows(t *testing.T) {
	t.Parallel()
	s := certdeployStandIn(t, "SSH-2.0-paramiko_4.0.0", false)
	target := s.target(t, nil)
	receipts := deliver(t, target, shop(t, 1), targettest.Bundle(t, "blog", 2, "blog.example.com"))
	for _, r := range receipts {
		if r.Err != nil || r.Applied {
			t.Errorf("%+v; want it sent, and not more", r)
		}
	}
	want := []string{"CONNECT"}
	for _, name := range []string{"shop", "blog"} {
		want = append(want, "STAT BASE/"+name, "STAT BASE", "MKDIR BASE/"+name)
		for _, f := range []string{"fullchain.pem", "privkey.pem"} {
			p := "BASE/" + name + "/" + f
			want = append(want, "OPEN "+p, "SETSTAT "+p, "WRITE "+p, "CLOSE "+p, "STAT "+p)
		}
	}
	if !slices.Equal(s.requests, want) {
		t.Errorf("requests were\n%s\nwant\n%s", strings.Join(s.requests, "\n"), strings.Join(want, "\n"))
	}
	chain, key, err := readPair(filepath.Join(s.dir, "shop"))
	if _, e := tls.X509KeyPair(chain, key); e != nil || err != nil {
		t.Errorf("what arrived is no pair: %v, %v", e, err)
	}
	if held, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); err != nil || held != receipts[0].Fingerprint {
		t.Errorf("holds %q, %v", held, err)
	}
	os.RemoveAll(filepath.Join(s.dir, "shop")) // it took it
	if held, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); err != nil || held != "" {
		t.Errorf("after it was taken: holds %q, %v", held, err)
	}
	refused(t, target.Remove(t.Context(), "blog", certfleet.Receipt{}), certfleet.Denied)
}

func TestRelativePathAtCertdeployClient(t *testing.T) {
	t.Parallel()
	s := certdeployStandIn(t, "SSH-2.0-paramiko_4.0.0", false)
	must(t, s.target(t, func(c *Config) { c.Path = "" }), shop(t, 1))
	if _, key, err := readPair(filepath.Join(s.dir, "shop")); err != nil || key == nil {
		t.Errorf("nothing arrived: %v", err)
	}
}

func TestFaultsOfAHostAreToldAndTheNextTryConverges(t *testing.T) {
	t.Parallel()
	s := certdeployStandIn(t, "SSH-2.0-paramiko_4.0.0", false)
	target := s.target(t, nil)
	s.dies = true
	r := deliver(t, target, shop(t, 1), targettest.Bundle(t, "blog", 1, "blog.example.com"))
	for _, r := range r {
		if r.Err == nil || r.Applied {
			t.Errorf("the host died in the middle of a file: %+v", r)
		}
	}
	s.dies, s.full = false, true
	refused(t, deliver(t, target, shop(t, 1))[0].Err, certfleet.Limited)
	s.full, s.noModes = false, true
	os.RemoveAll(filepath.Join(s.dir, "shop"))
	refused(t, deliver(t, target, shop(t, 1))[0].Err, certfleet.Denied, "private key")
	if b, _ := os.ReadFile(filepath.Join(s.dir, "shop", "privkey.pem")); len(b) > 0 {
		t.Error("a key was written where all may read it")
	}
	s.noModes = false
	os.RemoveAll(filepath.Join(s.dir, "shop"))
	must(t, target, shop(t, 1))
}

func TestSilentHostIsGivenUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, hostKey := sshtest.KeyFile(t, "ed25519")
	login, _ := sshtest.KeyFile(t, "ed25519")
	silent := host{port: l.Addr().(*net.TCPAddr).Port, user: "x", key: login, hostKey: hostKey}
	stuck := certdeployStandIn(t, "SSH-2.0-OpenSSH_9.2", true)
	for name, h := range map[string]host{"before the handshake": silent, "after the login": stuck.host} {
		began := time.Now()
		r := deliver(t, h.target(t, func(c *Config) { c.Timeout = certfleet.Duration(400 * time.Millisecond) }), shop(t, 1))[0]
		refused(t, r.Err, certfleet.Unreachable)
		if took := time.Since(began); took > trial.Patience/2 {
			t.Errorf("%s: given up after %s", name, took)
		}
	}
}

func TestAgentSaysWhyItRefuses(t *testing.T) {
	t.Parallel()
	h, live := ours(t, nil)
	target := h.target(t, nil)
	must(t, target, shop(t, 1))
	before, _, _ := readPair(filepath.Join(live, "live", "shop"))
	other := shop(t, 2)
	names, _ := certfleet.ParseNames([]string{"other.example.com"})
	other.Names = names
	refused(t, deliver(t, target, other)[0].Err, certfleet.Conflict, "the agent says", "other.example.com")
	after, _, _ := readPair(filepath.Join(live, "live", "shop"))
	if !bytes.Equal(before, after) || before == nil {
		t.Error("the last good pair is gone")
	}
	must(t, target, shop(t, 3))
}

func TestOneShotAgentBehindOpenSSH(t *testing.T) {
	t.Parallel()
	h := sshd(t, "ed25519")
	target := h.target(t, func(c *Config) { c.Peer = Agent })
	b := shop(t, 1)
	if r := deliver(t, target, b)[0]; r.Err != nil || r.Applied {
		t.Fatalf("%+v; want it sent", r)
	}
	live := t.TempDir()
	a, err := agent.New(agent.Config{Staging: h.folder, Dir: live}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	report, err := a.Sync(t.Context())
	if err != nil || !slices.Equal(report.Live, []string{"shop"}) {
		t.Fatalf("%+v, %v", report, err)
	}
	chain, key, err := readPair(filepath.Join(live, "live", "shop"))
	if _, e := tls.X509KeyPair(chain, key); e != nil || err != nil {
		t.Errorf("%v, %v", e, err)
	}
	if left, _ := os.ReadDir(filepath.Join(h.folder, "shop")); len(left) != 0 {
		t.Errorf("staging still holds %v", left)
	}
}

// TestFilesAreOnDiskBeforeTheLinkLeadsToThem reads what OpenSSH's server did, in
// its own words.
func TestFilesAreOnDiskBeforeTheLinkLeadsToThem(t *testing.T) {
	t.Parallel()
	program := trial.Program(t, "sftp-server", "openssh-sftp-server")
	log := filepath.Join(t.TempDir(), "log")
	h := sshd(t, "ed25519", "ForceCommand "+program+" -e -l VERBOSE 2>>"+log)
	must(t, h.target(t, nil), shop(t, 1))
	said, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	text := string(said)
	link := strings.Index(text, "posix-rename")
	if link < 0 || strings.Count(text[:link], "\nfsync") < 2 || strings.Contains(text[link:], "\nfsync") {
		t.Errorf("the server says:\n%s", text)
	}
}
