package certdeploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/sftp"
	"github.com/certfleet/certfleet/internal/target/targettest"
)

// theirs is one of the original's two programs, from the folder that
// CERTFLEET_CERTDEPLOY names.
func theirs(t testing.TB, which string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	dir := os.Getenv("CERTFLEET_CERTDEPLOY")
	if dir == "" {
		t.Skip("CERTFLEET_CERTDEPLOY names no folder with the original's certdeploy-server and certdeploy-client")
	}
	cmd := program(t, "", env, args...)
	cmd.Path = filepath.Join(dir, "certdeploy-"+which)
	cmd.Args[0] = cmd.Path
	return cmd
}

// theirServer is a whole run of the original's server.
func (s *site) theirServer(env []string, args ...string) (out string, status int) {
	s.Helper()
	cmd := theirs(s, "server", env, append([]string{"--config", s.file}, args...)...)
	b, _ := cmd.CombinedOutput()
	return string(b), cmd.ProcessState.ExitCode()
}

// theirDaemon is the original in the background, until the test ends.
func theirDaemon(t testing.TB, which, file string, args ...string) *buffer {
	t.Helper()
	log := &buffer{}
	cmd := theirs(t, which, nil, append([]string{"--config", file, "--daemon", "--log-level", "DEBUG"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the original's %s said:\n%s", which, log)
		}
	})
	return log
}

// theirClient is the original's client as a daemon.
func theirClient(t testing.TB, p *place) *buffer {
	t.Helper()
	log := theirDaemon(t, "client", p.file)
	eventually(t, "the original's client listens", func() bool { return strings.Contains(log.String(), "Listening for incoming") })
	return log
}

func TestTheOriginalServerPushesToOurClientAndToOurAgent(t *testing.T) {
	s := newSite(t)
	agent, live := ours(t, s.public)
	p := newPlace(t, s.public)
	p.services(p.script("told", 0))
	s.configure(agent.entry("a.example, b.example", "needs_chain: true") + p.host.entry("a.example, b.example"))
	theirs(t, "server", nil)
	_, log := p.start()
	for range 2 { // new, and renewed
		for _, name := range []string{"a.example", "b.example"} {
			lineage, files := renewed(t, s.live, name)
			if out, status := s.theirServer(nil, "--push", "--lineage", lineage, "--domains", name, "--log-level", "INFO"); status != 0 || strings.Count(out, "Pushed "+lineage) != 2 {
				t.Fatalf("the original's push ended with %d: %s\n%s", status, out, log)
			}
			eventually(t, "the agent has "+name, func() bool {
				b, _ := os.ReadFile(filepath.Join(live, name, "privkey.pem"))
				return string(b) == string(files["privkey.pem"])
			})
			holds(t, filepath.Join(live, name), files, "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem")
			eventually(t, "our client has "+name, func() bool {
				b, _ := os.ReadFile(filepath.Join(p.live(name), "privkey.pem"))
				return string(b) == string(files["privkey.pem"])
			})
			holds(t, p.live(name), files, "fullchain.pem", "privkey.pem")
		}
	}
	eventually(t, "services are told", func() bool { return len(p.told()) >= 4 })
}

// TestTheOriginalsDaemonLeavesConnectionsOpen has the daemon push one lineage after
// the other; it closes no connection, and what came is live all the same.
func TestTheOriginalsDaemonLeavesConnectionsOpen(t *testing.T) {
	s := newSite(t)
	agent, live := ours(t, s.public)
	s.configure(agent.entry("a.example, b.example"))
	theirs(t, "server", nil)
	want := map[string]map[string][]byte{}
	for _, name := range []string{"a.example", "b.example"} {
		lineage, files := renewed(t, s.live, name)
		want[name] = files
		if out, status := s.theirServer(hookEnv(lineage, name)); status != 0 {
			t.Fatalf("the original's hook: %d, %s", status, out)
		}
	}
	theirDaemon(t, "server", s.file)
	for name, files := range want {
		eventually(t, name+" is live", func() bool {
			b, _ := os.ReadFile(filepath.Join(live, name, "privkey.pem"))
			return string(b) == string(files["privkey.pem"])
		})
		holds(t, filepath.Join(live, name), files, "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem")
	}
}

func TestOurServerPushesToTheOriginalsClient(t *testing.T) {
	s := newSite(t)
	p := newPlace(t, s.public)
	script := p.script("told", 0)
	p.services(script + "\n    timeout: 10")
	s.configure(p.host.entry("a.example, b.example", "needs_chain: true"))
	log := theirClient(t, p)
	for range 2 {
		want := map[string]map[string][]byte{}
		for _, name := range []string{"a.example", "b.example"} {
			lineage, files := renewed(t, s.live, name)
			want[name] = files
			if out, status := s.server(hookEnv(lineage, name)); status != 0 {
				t.Fatalf("our hook: %d, %s", status, out)
			}
		}
		if out, status := s.server(nil, "--push", "--strict-exit"); status != 0 {
			t.Fatalf("%d: %s\n%s", status, out, log)
		}
		for name, files := range want {
			eventually(t, "the original deploys "+name, func() bool {
				b, _ := os.ReadFile(filepath.Join(p.live(name), "privkey.pem"))
				return string(b) == string(files["privkey.pem"])
			})
			holds(t, p.live(name), files, "chain.pem", "fullchain.pem", "privkey.pem")
			if info, err := os.Stat(filepath.Join(p.live(name), "privkey.pem")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the key is %v, %v", info, err)
			}
		}
		eventually(t, "the original's services are told", func() bool { return strings.Contains(log.String(), "Updated services") })
	}
	if strings.Contains(log.String(), "Traceback") || strings.Contains(log.String(), "ERROR") {
		t.Errorf("the original's client met an error:\n%s", log)
	}
}

// TestTheManagersTargetPushesToTheOriginalsClient is what a manager does, with the
// peer given and with the peer found out.
func TestTheManagersTargetPushesToTheOriginalsClient(t *testing.T) {
	for _, peer := range []sftp.Peer{sftp.Auto, sftp.Certdeploy} {
		t.Run(string(peer), func(t *testing.T) {
			key, public := keyFile(t)
			p := newPlace(t, public)
			log := theirClient(t, p)
			target, err := sftp.New(sftp.Config{Host: "127.0.0.1", Port: p.host.port, User: "certdeploy", Key: "file:" + key, HostKeys: []string{p.host.hostKey}, Path: p.source, Peer: peer, Timeout: certfleet.Duration(20 * time.Second)}, dial.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			for v := range int64(2) {
				bundles := []certfleet.Bundle{targettest.Bundle(t, "shop", v+1, "shop.example"), targettest.Bundle(t, "*.blog.example", v+1, "*.blog.example")}
				got, err := target.Deliver(t.Context(), bundles, nil)
				if err != nil || got[0].Err != nil || got[1].Err != nil || got[0].Applied {
					t.Fatalf("%+v, %v\n%s", got, err, log)
				}
				for i, name := range []string{"shop", "_.blog.example"} {
					eventually(t, "the original deploys "+name, func() bool {
						b, _ := os.ReadFile(filepath.Join(p.live(name), "fullchain.pem"))
						return string(b) == string(bundles[i].ChainPEM)
					})
				}
			}
			if strings.Contains(log.String(), "Traceback") || strings.Contains(log.String(), "ERROR") {
				t.Errorf("the original's client met an error:\n%s", log)
			}
		})
	}
}

// TestAnOriginalHookAndOurServerShareAQueue has each take what the other queued.
func TestAnOriginalHookAndOurServerShareAQueue(t *testing.T) {
	s := newSite(t)
	agent, live := ours(t, s.public)
	s.configure(agent.entry("a.example"))
	lineage, files := renewed(t, s.live, "a.example")
	theirs(t, "server", nil)
	if out, status := s.theirServer(hookEnv(lineage, "a.example")); status != 0 {
		t.Fatalf("the original's hook: %d, %s", status, out)
	}
	if out, status := s.server(nil, "--push", "--strict-exit"); status != 0 {
		t.Fatalf("%d: %s", status, out)
	}
	holds(t, filepath.Join(live, "a.example"), files, "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem")
	if b, err := os.ReadFile(filepath.Join(s.queue, "queue.json")); err != nil || strings.TrimSpace(string(b)) != "{}" {
		t.Errorf("the original's queue still holds %q, %v", b, err)
	}
	if got := s.waiting(); len(got) > 0 {
		t.Errorf("ours still holds %v", got)
	}
}

// TestBothUnderstandTheSameConfiguration gives both programs the same files, good
// ones and broken ones, and compares whether they end well.
func TestBothUnderstandTheSameConfiguration(t *testing.T) {
	s := newSite(t)
	h := nobody(t)
	base := func(more string) string {
		return "privkey_filename: " + s.key + "\nqueue_dir: " + s.queue + "\nclient_configs:\n" + h.entry("a.example") + more + "\n"
	}
	lineage, _ := renewed(t, s.live, "other.example") // which nobody wants
	for name, text := range map[string]string{
		"plain":              base(""),
		"every key":          base("fail_fast: yes\nlog_level: INFO\nsftp_log_level: ERROR\nrenew_every: 2\nrenew_unit: Hour\nrenew_at: ':30'\nrenew_exec: /bin/true\nrenew_args: [renew, -q]\nrenew_timeout: 60\npush_mode: parallel\npush_interval: 1\npush_retries: 0\npush_retry_interval: 5\njoin_timeout: 1.5\nsftp_auth_timeout: 10\nsftp_banner_timeout: 10\nsftp_tcp_timeout: 5"),
		"weekday":            base("renew_unit: monday\nrenew_at: '09:30'"),
		"unknown key":        base("no_such_key: 1"),
		"unknown unit":       base("renew_unit: month"),
		"unknown mode":       base("push_mode: SERIAL"),
		"negative retries":   base("push_retries: -1"),
		"retries in words":   base("push_retries: many"),
		"hour 25":            base("renew_at: '25:00'"),
		"no key":             strings.Replace(base(""), "privkey_filename", "#", 1),
		"no queue folder":    strings.Replace(base(""), s.queue, "/nowhere", 1),
		"no clients":         "privkey_filename: " + s.key + "\nqueue_dir: " + s.queue + "\n",
		"a client's typo":    strings.Replace(base(""), "domains:", "domain:", 1),
		"a host key of none": strings.Replace(base(""), "ssh-ed25519 ", "ssh-ed25519 x", 1),
		"not a map":          "- a\n",
		"empty":              "",
		"broken":             "a: [",
	} {
		os.WriteFile(s.file, []byte(text), 0o600)
		said, theirStatus := s.theirServer(hookEnv(lineage, "other.example"))
		ourSaid, ourStatus := s.server(hookEnv(lineage, "other.example"))
		if theirStatus != ourStatus {
			t.Errorf("%s: the original ends with %d, ours with %d:\n%s%s", name, theirStatus, ourStatus, said, ourSaid)
		}
	}
}

// TestBothClientsUnderstandTheSameConfiguration runs both once with nothing staged.
func TestBothClientsUnderstandTheSameConfiguration(t *testing.T) {
	_, public := keyFile(t)
	theirs(t, "client", nil)
	for name, more := range map[string]string{
		"plain":                     "",
		"every key":                 "init_timeout: 5\nscript_timeout: 5\ndocker_timeout: 5\ndocker_url: unix://var/run/docker.sock\nsystemd_exec: /bin/true\nrc_service_exec: /bin/true\nfail_fast: no\nlog_level: ERROR\nfile_permissions: {owner: root, group: 0, mode: '0o640', directory_mode: 0750}",
		"all services":              "systemd_exec: /bin/true\nrc_service_exec: /bin/true\nupdate_services:\n  - {type: script, name: /bin/true}\n  - {type: systemd, name: nginx.service, action: Reload}\n  - {type: rc, name: nginx}\n  - {type: docker_container, name: web}\n  - {type: docker_service, filters: {label: [tls]}}",
		"unknown key":               "no_such_key: 1",
		"unknown permission":        "file_permissions: {modes: 0600}",
		"a mode in decimal":         "file_permissions: {mode: 600}",
		"unknown service":           "update_services:\n  - {type: launchd, name: x}",
		"a script that is missing":  "update_services:\n  - {type: script, name: /nowhere/script}",
		"a unit without its ending": "systemd_exec: /bin/true\nupdate_services:\n  - {type: systemd, name: nginx}",
		"an unknown action":         "systemd_exec: /bin/true\nupdate_services:\n  - {type: systemd, name: nginx.service, action: stop}",
		"docker without a name":     "update_services:\n  - {type: docker_container}",
		"a timeout in words":        "update_services:\n  - {type: script, name: /bin/true, timeout: soon}",
	} {
		p := newPlace(t, public, more)
		theirOut, _ := theirs(t, "client", nil, "--config", p.file).CombinedOutput()
		cmd := theirs(t, "client", nil, "--config", p.file)
		cmd.Run()
		ourOut, ourStatus := run(t, "client", nil, "--config", p.file)
		if theirStatus := cmd.ProcessState.ExitCode(); theirStatus != ourStatus {
			t.Errorf("%s: the original ends with %d, ours with %d:\n%s%s", name, theirStatus, ourStatus, theirOut, ourOut)
		}
	}
}

// TestBothRenewAlike runs the renew command once, one that goes well and one that
// does not, and looks for the words that people search for.
func TestBothRenewAlike(t *testing.T) {
	s := newSite(t)
	theirs(t, "server", nil)
	for _, row := range []struct {
		exec, fast string
		words      []string
	}{
		{"/bin/true", "no", []string{"DEBUG:certdeploy-server: Running renew", "INFO:certdeploy-server: Checked for renewable certificates."}},
		{"/bin/true", "yes", []string{"INFO:certdeploy-server: Checked for renewable certificates."}},
		{"/bin/false", "no", []string{"ERROR:certdeploy-server: Failed to renew or check"}},
		{"/bin/false", "yes", []string{"ERROR:certdeploy-server: "}},
	} {
		s.configure(nobody(t).entry("a.example"), "renew_exec: "+row.exec, "fail_fast: "+row.fast)
		theirOut, theirStatus := s.theirServer(nil, "--renew", "--log-level", "DEBUG")
		ourOut, ourStatus := s.server(nil, "--renew", "--log-level", "DEBUG")
		if theirStatus != ourStatus {
			t.Errorf("%+v: the original ends with %d, ours with %d:\n%s%s", row, theirStatus, ourStatus, theirOut, ourOut)
		}
		for _, w := range row.words {
			if !strings.Contains(theirOut, w) || !strings.Contains(ourOut, w) {
				t.Errorf("%+v: %q is not in both:\n%s\n%s", row, w, theirOut, ourOut)
			}
		}
	}
}
