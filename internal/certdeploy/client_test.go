package certdeploy

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/trial"
)

// place is a client's configuration and its folders.
type place struct {
	testing.TB
	dir, file, source, destination string
	host                           host
	calls                          string // what the services noted
}

// newPlace is a client into which public may push.
func newPlace(t testing.TB, public string, more ...string) *place {
	t.Helper()
	p := &place{TB: t, dir: t.TempDir()}
	p.file, p.source, p.destination, p.calls = filepath.Join(p.dir, "client.yml"), filepath.Join(p.dir, "staging"), filepath.Join(p.dir, "live"), filepath.Join(p.dir, "calls")
	for _, d := range []string{p.source, p.destination} {
		os.Mkdir(d, 0o700)
	}
	key, hostKey := keyFile(t)
	p.host = host{porttest.Port(t), "certdeploy", hostKey, p.source}
	text := fmt.Sprintf("destination: %s\nsource: %s\nupdate_delay: 0s\nsftpd:\n  listen_port: %d\n  listen_address: 127.0.0.1\n  privkey_filename: %s\n  server_pubkey: %s\n%s\n", p.destination, p.source, p.host.port, key, public, strings.Join(more, "\n"))
	os.WriteFile(p.file, []byte(text), 0o600)
	return p
}

// script makes a service that notes its name, and ends with a status.
func (p *place) script(name string, status int) string {
	file := filepath.Join(p.dir, name)
	os.WriteFile(file, fmt.Appendf(nil, "#!/bin/sh\necho %s $RENEWED_LINEAGE $FROM_OUTSIDE >> %s\nexit %d\n", name, p.calls, status), 0o700)
	return "  - type: script\n    name: " + file
}

// services adds update_services to the configuration.
func (p *place) services(list ...string) {
	f, _ := os.OpenFile(p.file, os.O_APPEND|os.O_WRONLY, 0)
	defer f.Close()
	fmt.Fprintf(f, "update_services:\n%s\n", strings.Join(list, "\n"))
}

func (p *place) told() []string {
	b, _ := os.ReadFile(p.calls)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// start runs the daemon until it listens.
func (p *place) start(env ...string) (cmd *exec.Cmd, log *buffer) {
	p.Helper()
	log = &buffer{}
	cmd = program(p, "client", append(env, "CERTDEPLOY_CLIENT_DAEMON=true"), "--config", p.file, "--log-level", "DEBUG", "--sftp-log-level", "DEBUG", "--sftp-log-filename", "stderr")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(p, "the client listens", func() bool {
		return strings.Contains(log.String(), "Listening for incoming") || cmd.ProcessState != nil
	})
	return cmd, log
}

func (p *place) live(name string) string { return filepath.Join(p.destination, name) }

func TestServerPushesToClientAndServicesAreTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := newPlace(t, s.public)
	p.services(p.script("first", 0), p.script("fails", 1), p.script("last", 0))
	s.configure(p.host.entry("shop.example"))
	cmd, log := p.start("FROM_OUTSIDE=yes")
	lineage, files := renewed(t, s.live, "shop.example")
	if out, status := s.server(hookEnv(lineage, "shop.example"), "--push"); status != 0 || out != "" {
		t.Fatalf("%d: %s\n%s", status, out, log)
	}
	holds(t, p.live("shop.example"), files, "fullchain.pem", "privkey.pem")
	eventually(t, "the services are told", func() bool { return len(p.told()) == 3 })
	live := p.live("shop.example")
	if got, want := strings.Join(p.told(), "\n"), "first "+live+" yes\nfails "+live+" yes\nlast "+live+" yes"; got != want {
		t.Errorf("told were\n%s\nwant\n%s", got, want)
	}
	eventually(t, "the log ends", func() bool { return strings.Contains(log.String(), "Updated services") })
	for _, line := range []string{
		"DEBUG:certdeploy-client: Running daemon\n", "INFO:certdeploy-client: Listening for incoming connections at 127.0.0.1:" + strconv.Itoa(p.host.port) + "\n",
		"INFO:certdeploy-client: Got connection from ('127.0.0.1', ", "INFO:certdeploy-client: Deploying new certs\n", "INFO:certdeploy-client: Queueing updates for services\n",
		"INFO:certdeploy-client: Updating services", "INFO:certdeploy-client: Updated services", "DEBUG:paramiko.transport: logged in",
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log has no %q:\n%s", line, log)
		}
	}
	if strings.Contains(log.String(), "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
	// Whoever has a folder from certdeploy keeps it; the files in it change.
	inode := func() uint64 { var st syscall.Stat_t; syscall.Stat(live, &st); return st.Ino }
	was := inode()
	lineage, files = renewed(t, s.live, "shop.example")
	s.server(hookEnv(lineage, "shop.example"), "--push")
	holds(t, live, files, "fullchain.pem", "privkey.pem")
	if inode() != was {
		t.Error("the lineage's folder is another now")
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// What a plain SSH server took in, a one-shot run brings live.
func TestOneShotDeploysWhatAPlainServerTookIn(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	s := newSite(t)
	h := sshd(t, s.public)
	p := newPlace(t, s.public)
	p.services(p.script("first", 0))
	h.path = p.source
	s.configure(h.entry("shop.example"))
	lineage, files := renewed(t, s.live, "shop.example")
	if out, status := s.server(hookEnv(lineage, "shop.example"), "--push"); status != 0 || out != "" {
		t.Fatalf("%d: %s", status, out)
	}
	out, status := run(t, "client", nil, "--config", p.file, "--log-level", "DEBUG")
	if status != 0 || !strings.Contains(out, "DEBUG:certdeploy-client: Running one off deploy\n") || !strings.Contains(out, "INFO:certdeploy-client: Updated services") {
		t.Errorf("%d: %s", status, out)
	}
	holds(t, p.live("shop.example"), files, "fullchain.pem", "privkey.pem")
	if left, err := os.ReadDir(filepath.Join(p.source, "shop.example")); err == nil {
		t.Errorf("staging still holds %v", left)
	}
	if out, status := run(t, "client", nil, "--config", p.file); status != 0 || out != "" || len(p.told()) != 1 {
		t.Errorf("nothing to do: %d, %s, told %v", status, out, p.told())
	}
	for _, st := range []string{"", " again"} { // the folder is gone, and pushed to again
		if _, status := s.server(hookEnv(lineage, "shop.example"), "--push"); status != 0 {
			t.Errorf("push%s: %d", st, status)
		}
	}
}

// The requests of certdeploy's own server: the tree upwards, folders downwards,
// each file in place and looked at, and the connection left open behind it.
func TestOriginalServersRequestsAreServed(t *testing.T) {
	t.Parallel()
	login, public := keyFile(t)
	p := newPlace(t, public)
	p.start()
	text, _ := os.ReadFile(login)
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	hostKey, _, _, _, _ := ssh.ParseAuthorizedKey([]byte(p.host.hostKey))
	for round := range 2 {
		for _, name := range []string{"shop.example", "blog.example"} {
			conn, err := ssh.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.host.port)), &ssh.ClientConfig{User: "certdeploy", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(hostKey), Timeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() // long after
			c, err := sftp.NewClient(conn)
			if err != nil {
				t.Fatal(err)
			}
			files := issue(t, name)
			dir := p.source + "/" + name
			if _, err := c.Stat(dir); err == nil {
				t.Errorf("round %d: %s is in staging still", round, name)
			}
			if _, err := c.Stat(p.source); err != nil {
				t.Error(err)
			}
			if err := c.Mkdir(dir); err != nil {
				t.Error(err)
			}
			for _, f := range []string{"chain.pem", "fullchain.pem", "privkey.pem"} {
				w, err := c.OpenFile(dir+"/"+f, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
				if err != nil {
					t.Fatal(err)
				}
				w.Write(files[f])
				w.Close()
				if info, err := c.Stat(dir + "/" + f); err != nil || info.Size() != int64(len(files[f])) {
					t.Errorf("after the push: %v, %v", info, err)
				}
			}
			c.Close()
			eventually(t, name+" is live", func() bool {
				b, _ := os.ReadFile(filepath.Join(p.live(name), "privkey.pem"))
				return bytes.Equal(b, files["privkey.pem"])
			})
			holds(t, p.live(name), files, "chain.pem", "fullchain.pem", "privkey.pem")
		}
	}
}

func TestLineagesThatAreNoPairAreDeployedToo(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	files := issue(t, "shop.example")
	other := issue(t, "shop.example")
	for _, row := range []struct {
		name   string
		staged []string
		from   map[string][]byte
		live   []string
		status int
	}{
		{"chain alone", []string{"chain.pem"}, files, []string{"chain.pem"}, 0},
		{"certificates alone", []string{"fullchain.pem"}, files, []string{"fullchain.pem"}, 0},
		{"key alone", []string{"privkey.pem"}, files, []string{"privkey.pem"}, 0},
		{"all of certbot's", []string{"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"}, files, []string{"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"}, 0},
		{"a key of another", []string{"fullchain.pem", "privkey.pem"}, map[string][]byte{"fullchain.pem": files["fullchain.pem"], "privkey.pem": other["privkey.pem"]}, nil, 1},
		{"a file cut off", []string{"fullchain.pem"}, map[string][]byte{"fullchain.pem": files["fullchain.pem"][:700]}, nil, 1},
		{"an empty file", []string{"fullchain.pem", "privkey.pem"}, map[string][]byte{"privkey.pem": files["privkey.pem"]}, nil, 1},
		{"another name", []string{"bundle.pem"}, map[string][]byte{"bundle.pem": append(bytes.Clone(files["privkey.pem"]), files["fullchain.pem"]...)}, []string{"bundle.pem"}, 0},
	} {
		p := newPlace(t, "unused")
		stage(t, p.source, "shop.example", row.from, row.staged...)
		out, status := run(t, "client", nil, "--config", p.file)
		if status != row.status || status == 1 && !strings.Contains(out, "ERROR:certdeploy-client: InvalidKey: Invalid key "+filepath.Join(p.source, "shop.example")) {
			t.Errorf("%s: %d: %s", row.name, status, out)
		}
		if row.live == nil {
			if entries, err := os.ReadDir(p.live("shop.example")); err == nil && len(entries) > 0 {
				t.Errorf("%s: live is %v", row.name, entries)
			}
			continue
		}
		holds(t, p.live("shop.example"), row.from, row.live...)
	}
}

// stage lays files into staging, long ago enough.
func stage(t testing.TB, source, name string, files map[string][]byte, which ...string) {
	t.Helper()
	os.MkdirAll(filepath.Join(source, name), 0o700)
	for _, f := range which {
		file := filepath.Join(source, name, f)
		if err := os.WriteFile(file, files[f], 0o644); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-time.Minute)
		os.Chtimes(file, then, then)
	}
}

func TestBadLineageStopsNoOther(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "unused")
	good, old, next := issue(t, "good.example"), issue(t, "bad.example"), issue(t, "bad.example")
	stage(t, p.source, "bad.example", old, "fullchain.pem", "privkey.pem")
	run(t, "client", nil, "--config", p.file)
	stage(t, p.source, "bad.example", next, "fullchain.pem") // its key does not come
	stage(t, p.source, "good.example", good, "fullchain.pem", "privkey.pem")
	if out, status := run(t, "client", nil, "--config", p.file); status != 1 || !strings.Contains(out, "bad.example") {
		t.Errorf("%d: %s", status, out)
	}
	holds(t, p.live("good.example"), good, "fullchain.pem", "privkey.pem")
	holds(t, p.live("bad.example"), old, "fullchain.pem", "privkey.pem")
	stage(t, p.source, "bad.example", next, "privkey.pem")
	if out, status := run(t, "client", nil, "--config", p.file); status != 0 {
		t.Errorf("%d: %s", status, out)
	}
	holds(t, p.live("bad.example"), next, "fullchain.pem", "privkey.pem")
}

func TestPermissionsOfWhatIsLive(t *testing.T) {
	t.Parallel()
	files := issue(t, "shop.example")
	for _, row := range []struct {
		name, more    string
		key, cert, at os.FileMode
	}{
		{"none", "", 0o600, 0o644, 0o755},
		{"octal", "file_permissions: {mode: 0640, directory_mode: '0o750', owner: " + strconv.Itoa(os.Getuid()) + ", group: '" + strconv.Itoa(os.Getgid()) + "'}", 0o640, 0o640, 0o750},
		{"for all to read", "file_permissions:\n  mode: '644'", 0o640, 0o644, 0o755}, // but not the key
	} {
		p := newPlace(t, "unused", row.more)
		stage(t, p.source, "shop.example", files, "fullchain.pem", "privkey.pem")
		if out, status := run(t, "client", nil, "--config", p.file); status != 0 {
			t.Fatalf("%s: %d: %s", row.name, status, out)
		}
		for f, want := range map[string]os.FileMode{"privkey.pem": row.key, "fullchain.pem": row.cert, ".": row.at} {
			if info, err := os.Stat(filepath.Join(p.live("shop.example"), f)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %s is %v, want %v", row.name, f, info.Mode(), want)
			}
		}
	}
}

func TestLinkAtTheDestinationIsReplacedByAFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "unused")
	files := issue(t, "shop.example")
	os.Mkdir(p.live("shop.example"), 0o700)
	archive := filepath.Join(p.dir, "old.pem")
	os.WriteFile(archive, []byte("old"), 0o600)
	os.Symlink(archive, filepath.Join(p.live("shop.example"), "privkey.pem"))
	stage(t, p.source, "shop.example", files, "fullchain.pem", "privkey.pem")
	if out, status := run(t, "client", nil, "--config", p.file); status != 0 {
		t.Fatalf("%d: %s", status, out)
	}
	holds(t, p.live("shop.example"), files, "fullchain.pem", "privkey.pem")
	if b, _ := os.ReadFile(archive); string(b) != "old" {
		t.Error("what the link led to was written")
	}
}

func TestClientsExitStatus(t *testing.T) {
	t.Parallel()
	files := issue(t, "shop.example")
	for name, row := range map[string]struct {
		more   string
		args   []string
		status int
		want   string
	}{
		"a service that fails":           {"", nil, 0, "service not updated"},
		"a service that fails, fast":     {"fail_fast: true", nil, 1, "service not updated"},
		"a service that fails, strictly": {"", []string{"--strict-exit"}, 1, "service not updated"},
		"a strange option":               {"", []string{"--what"}, 2, "No such option: --what"},
	} {
		p := newPlace(t, "unused", row.more)
		p.services(p.script("fails", 3), p.script("next", 0))
		stage(t, p.source, "shop.example", files, "fullchain.pem", "privkey.pem")
		out, status := run(t, "client", nil, append([]string{"--config", p.file}, row.args...)...)
		if status != row.status || !strings.Contains(out, row.want) {
			t.Errorf("%s: %d: %s", name, status, out)
		}
		if n := len(p.told()); row.status == 0 && n != 2 || row.more != "" && n != 1 {
			t.Errorf("%s: told %v", name, p.told())
		}
	}
	if out, status := run(t, "client", nil, "--config", "/nowhere"); status != 1 || !strings.Contains(out, `Config file "/nowhere" not found`) {
		t.Errorf("%d: %s", status, out)
	}
}

func TestFailFastEndsTheDaemon(t *testing.T) {
	t.Parallel()
	login, public := keyFile(t)
	p := newPlace(t, public, "fail_fast: true")
	p.services(p.script("fails", 3))
	cmd, log := p.start()
	s := newSite(t)
	s.key = login
	s.configure(p.host.entry("shop.example"))
	lineage, _ := renewed(t, s.live, "shop.example")
	s.server(hookEnv(lineage, "shop.example"), "--push")
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
		if cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("it ended with %d", cmd.ProcessState.ExitCode())
		}
	case <-time.After(trial.Patience):
		t.Errorf("it goes on:\n%s", log)
	}
}

func TestDaemonSurvivesWhatEndedTheOriginal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := newPlace(t, s.public)
	_, log := p.start()
	for _, nonsense := range []string{"SSH-2.0-x\r\n", "", "GET / HTTP/1.0\r\n\r\n"} {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.host.port)))
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(nonsense))
		c.Close()
	}
	silent, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.host.port)))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // it stays in the handshake
	stage(t, p.source, "bad.example", map[string][]byte{"privkey.pem": []byte("-----BEGIN PRIVATE KEY-----\ncut")}, "privkey.pem")
	s.configure(p.host.entry("shop.example"))
	lineage, files := renewed(t, s.live, "shop.example")
	if out, status := s.server(hookEnv(lineage, "shop.example"), "--push"); status != 0 || out != "" {
		t.Fatalf("%d: %s\n%s", status, out, log)
	}
	holds(t, p.live("shop.example"), files, "fullchain.pem", "privkey.pem")
}
