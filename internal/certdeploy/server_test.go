package certdeploy

import (
	"bytes"
	"fmt"
	"github.com/certfleet/certfleet/internal/trial"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHookQueuesAndPushDelivers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	plain := sshd(t, s.public)
	h, live := ours(t, s.public)
	s.configure(plain.entry("shop.example", "needs_chain: true") + h.entry("shop.example") + nobody(t).entry("other.example"))
	lineage, files := renewed(t, s.live, "shop.example")
	if out, status := s.server(hookEnv(lineage, "shop.example www.shop.example")); status != 0 || out != "" {
		t.Fatalf("the hook ended with %d: %s", status, out)
	}
	if got := s.waiting(); !slices.Equal(got, []string{"shop.example", "shop.example"}) {
		t.Fatalf("the queue holds %v", got)
	}
	out, status := s.server(nil, "--push", "--log-level", "INFO")
	if status != 0 {
		t.Fatalf("the push ended with %d: %s", status, out)
	}
	for _, line := range []string{
		fmt.Sprintf("INFO:certdeploy-server: Pushing %s to %s@[127.0.0.1]:%d\n", lineage, plain.user, plain.port),
		fmt.Sprintf("INFO:certdeploy-server: Pushed %s to certdeploy@[127.0.0.1]:%d in 1 attempts\n", lineage, h.port),
		fmt.Sprintf("INFO:certdeploy-server: Done pushing all lineages to certdeploy@[127.0.0.1]:%d\n", h.port),
	} {
		if !strings.Contains(out, line) {
			t.Errorf("the log has no %q:\n%s", line, out)
		}
	}
	holds(t, filepath.Join(plain.path, "shop.example"), files, "chain.pem", "fullchain.pem", "privkey.pem")
	if info, err := os.Lstat(filepath.Join(plain.path, "shop.example")); err != nil || !info.IsDir() {
		t.Errorf("a one-shot client takes folders alone, this is %v, %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(plain.path, "shop.example", "privkey.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v", info, err)
	}
	holds(t, filepath.Join(live, "shop.example"), files, "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem")
	if got := s.waiting(); got != nil {
		t.Errorf("the queue still holds %v", got)
	}
	renewedAgain, files := renewed(t, s.live, "shop.example")
	if out, status := s.server(nil, "--push", "--lineage", renewedAgain+"/", "--domains", "shop.example"); status != 0 {
		t.Fatalf("the second push ended with %d: %s", status, out)
	}
	holds(t, filepath.Join(plain.path, "shop.example"), files, "chain.pem", "fullchain.pem", "privkey.pem") // the slash at the end changes nothing
}

func TestTwoLineagesForOneClientGoInOneRun(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, live := ours(t, s.public)
	s.configure(h.entry("a.example, b.example"))
	want := map[string]map[string][]byte{}
	for _, name := range []string{"a.example", "b.example"} {
		lineage, files := renewed(t, s.live, name)
		want[name] = files
		s.server(hookEnv(lineage, name))
	}
	began := time.Now()
	if out, status := s.server(nil, "--push"); status != 0 || out != "" {
		t.Fatalf("%d: %s", status, out)
	}
	if took := time.Since(began); took > trial.Patience/2 {
		t.Errorf("it took %s", took)
	}
	for name, files := range want {
		holds(t, filepath.Join(live, name), files, "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem")
	}
}

func TestModeOfARun(t *testing.T) {
	hook := hookEnv("/live/x", "x.example")
	for _, row := range []struct {
		name string
		env  []string
		args string
		want mode
	}{
		{"nothing", nil, "", modeNothing},
		{"a lineage without domains", hookEnv("/live/x", ""), "", modeNothing},
		{"hook", hook, "", modeQueue},
		{"hook in a daemon's environment", append(hook, "CERTDEPLOY_SERVER_DAEMON=true"), "", modeQueue},
		{"hook of --renew by environment", append(hook, "CERTDEPLOY_SERVER_RENEW_ONLY=true"), "", modeQueue},
		{"hook that is to push", append(hook, "CERTDEPOLY_SERVER_PUSH_ONLY=true"), "", modeQueuePush},
		{"hook that may not push", append(hook, "CERTDEPOLY_SERVER_PUSH_ONLY=true"), "--no-push", modeQueue},
		{"push", nil, "--push", modePush},
		{"push beats daemon", nil, "--push --daemon", modePush},
		{"push by environment beats daemon", []string{"CERTDEPLOY_SERVER_PUSH_ONLY=1"}, "--daemon", modePush},
		{"the manual's variable", []string{"CERTDEPOLY_PUSH_ONLY=Yes"}, "", modePush},
		{"renew beats all", nil, "--push --daemon --renew --lineage /l --domains d", modeRenew},
		{"renew by the manual's variable", []string{"CERTDEPLOY_RENEW_ONLY=TRUE"}, "", modeRenew},
		{"daemon", nil, "--daemon", modeDaemon},
		{"daemon by environment", []string{"CERTDEPLOY_SERVER_DAEMON=on"}, "", modeDaemon},
		{"daemon overridden", []string{"CERTDEPLOY_SERVER_DAEMON=on"}, "--no-daemon --push", modePush},
		{"an empty variable is none", []string{"CERTDEPLOY_SERVER_DAEMON="}, "--push", modePush},
		{"by hand", nil, "--lineage /l --domains d", modeQueue},
		{"push by hand", nil, "--push --lineage=/l --domains=d", modeQueuePush},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, name := range append([]string{"RENEWED_LINEAGE", "RENEWED_DOMAINS"}, modeVariables...) {
				t.Setenv(name, "")
			}
			for _, kv := range row.env {
				name, v, _ := strings.Cut(kv, "=")
				t.Setenv(name, v)
			}
			o := newServerOptions()
			if err := o.parse(strings.Fields(row.args)); err != nil || o.mode() != row.want {
				t.Errorf("mode %d, %v; want %d", o.mode(), err, row.want)
			}
		})
	}
}

func TestUsageAndExitStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.configure(nobody(t).entry("shop.example"), "push_retries: 0")
	lineage, _ := renewed(t, s.live, "shop.example")
	push := []string{"--push", "--lineage", lineage, "--domains", "shop.example"}
	for _, row := range []struct {
		name, want string
		env        []string
		args       []string
		status     int
	}{
		{"nothing to do", "ERROR:certdeploy-server: ConfigError: Could not find lineage or domains. lineage: , domains: \n", nil, nil, 1},
		{"no file", "ERROR:certdeploy-server: FileNotFoundError: [Errno 2] No such file or directory: '/nowhere'\n", nil, []string{"--config", "/nowhere"}, 1},
		{"nobody wants it", "", nil, []string{"--push", "--lineage", lineage, "--domains", "strange.example"}, 0},
		{"empty queue", "", nil, []string{"--push"}, 0},
		{"a push that failed", "stays in the queue", nil, push, 0},
		{"a push that failed, strictly", "stays in the queue", nil, append(push, "--strict-exit"), 1},
		{"strictly by environment", "stays in the queue", []string{"CERTDEPLOY_SERVER_STRICT_EXIT=1"}, push, 1},
		{"a strange option", "No such option", nil, []string{"--nonsense"}, 2},
		{"a bad level", "Invalid log level: LOUD", nil, []string{"--log-level", "LOUD"}, 2},
		{"a bad variable", "CERTDEPLOY_SERVER_DAEMON", []string{"CERTDEPLOY_SERVER_DAEMON=maybe"}, nil, 2},
		{"an argument", "unexpected extra argument", nil, []string{"push"}, 2},
		{"help", "--sftp-log-filename", nil, []string{"--help"}, 0},
	} {
		out, status := s.server(row.env, row.args...)
		if status != row.status || !strings.Contains(out, row.want) || row.want == "" && out != "" {
			t.Errorf("%s: status %d, said %q; want %d and %q", row.name, status, out, row.status, row.want)
		}
	}
}

func TestFailFastEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"serial", "parallel"} {
		s := newSite(t)
		s.configure(nobody(t).entry("shop.example", "push_retries: 3")+nobody(t).entry("shop.example"), "fail_fast: true", "push_mode: "+mode)
		lineage, _ := renewed(t, s.live, "shop.example")
		out, status := s.server(hookEnv(lineage, "shop.example"), "--push", "--log-level", "INFO")
		want := map[string]int{"serial": 1, "parallel": 2}[mode]
		if n := strings.Count(out, "INFO:certdeploy-server: Pushing"); status != 1 || n != want || !strings.Contains(out, "Attempt #1 of 4 failed. Not retrying sync "+lineage) {
			t.Errorf("%s: status %d, %d attempts, want 1 and %d:\n%s", mode, status, n, want, out)
		}
		if got := s.waiting(); len(got) != 2 {
			t.Errorf("%s: the queue holds %v, want both jobs", mode, got)
		}
	}
}

func TestFailedJobStaysUntilItsPushSucceeds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	away := nobody(t)
	s.configure(away.entry("shop.example", "push_retries: 2", "push_retry_interval: 0"))
	lineage, _ := renewed(t, s.live, "shop.example")
	out, status := s.server(hookEnv(lineage, "shop.example"), "--push", "--log-level", "INFO")
	if status != 0 || strings.Count(out, "Retrying sync to "+away.user) != 2 || !strings.Contains(out, "Attempt #3 of 3 failed. Not retrying") {
		t.Fatalf("%d: %s", status, out)
	}
	if got := s.waiting(); len(got) != 1 {
		t.Fatalf("the queue holds %v", got)
	}
	h, live := ours(t, s.public)
	h2 := h
	s.configure(h2.entry("shop.example"))
	if out, _ := s.server(nil, "--push", "--log-level", "WARNING"); !strings.Contains(out, "waits for a client that is not configured") {
		t.Errorf("nothing is said of the job for another port: %s", out)
	}
	s.server(hookEnv(lineage, "shop.example"), "--push")
	if _, err := os.Stat(filepath.Join(live, "shop.example", "privkey.pem")); err != nil {
		t.Error(err)
	}
}

func TestSilentHostIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	silent := listenSilently(t)
	s.configure(silent.entry("shop.example"), "push_retries: 0", "sftp_banner_timeout: 1")
	lineage, _ := renewed(t, s.live, "shop.example")
	began := time.Now()
	out, status := s.server(hookEnv(lineage, "shop.example"), "--push")
	if took := time.Since(began); status != 0 || took > trial.Patience/2 || !strings.Contains(out, "does not answer in time") {
		t.Errorf("%d after %s: %s", status, took, out)
	}
}

func TestLineageThatIsNotWholeIsKeptAndOneThatIsGoneIsNot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h, _ := ours(t, s.public)
	s.configure(h.entry("half.example, gone.example"))
	half, _ := renewed(t, s.live, "half.example")
	os.Remove(filepath.Join(half, "privkey.pem"))
	gone, _ := renewed(t, s.live, "gone.example")
	s.server(hookEnv(half, "half.example"))
	s.server(hookEnv(gone, "gone.example"))
	os.RemoveAll(gone)
	out, status := s.server(nil, "--push", "--log-level", "WARNING")
	if got := s.waiting(); status != 0 || !slices.Equal(got, []string{"half.example"}) || !strings.Contains(out, "gone.example is gone") || strings.Contains(out, "Retrying") {
		t.Errorf("%d, waiting %v: %s", status, got, out)
	}
}

func TestDaemonPushesWhatTheHookQueuesAndRenewsMeanwhile(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	s := newSite(t)
	h, live := ours(t, s.public)
	started := filepath.Join(s.dir, "started")
	s.configure(h.entry("shop.example"), "renew_unit: minute", "renew_at: ':"+fmt.Sprintf("%02d", (time.Now().Second()+3)%60)+"'", "renew_exec: /bin/sh", "renew_args: [-c, 'echo x > "+started+"; sleep 60']", "log_level: DEBUG")
	cmd := program(t, "server", []string{"CERTDEPLOY_SERVER_DAEMON=true"}, "--config", s.file)
	log := &buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if _, err := os.Stat(started); err == nil {
		t.Error("the renew command ran at the start")
	}
	// A daemon that comes up after that second runs it a minute later.
	trial.Within(t, 2*trial.Patience, "the renewal runs", func() (bool, string) { _, err := os.Stat(started); return err == nil, log.String() })
	lineage, files := renewed(t, s.live, "shop.example")
	if out, status := s.server(append(hookEnv(lineage, "shop.example"), "CERTDEPLOY_SERVER_DAEMON=true")); status != 0 {
		t.Fatalf("the hook ended with %d: %s", status, out)
	}
	eventually(t, "the certificate is live", func() bool {
		b, _ := os.ReadFile(filepath.Join(live, "shop.example", "fullchain.pem"))
		return bytes.Equal(b, files["fullchain.pem"])
	})
	cmd.Process.Signal(syscall.SIGTERM)
	began := time.Now()
	if err := cmd.Wait(); err != nil || time.Since(began) > trial.Patience/2 {
		t.Errorf("it ended with %v after %s:\n%s", err, time.Since(began), log)
	}
	for _, line := range []string{"DEBUG:certdeploy-server: Running daemon\n", "DEBUG:certdeploy-server: Server.serve_forever: one_shot=False\n"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log has no %q:\n%s", line, log)
		}
	}
}

func TestKilledServerLosesNoJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	silent := listenSilently(t)
	s.configure(silent.entry("shop.example"))
	lineage, _ := renewed(t, s.live, "shop.example")
	s.server(hookEnv(lineage, "shop.example"))
	cmd := program(t, "server", nil, "--config", s.file, "--push", "--log-level", "INFO")
	log := &buffer{}
	cmd.Stdout = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it pushes", func() bool { return strings.Contains(log.String(), "Pushing") })
	cmd.Process.Kill()
	cmd.Wait()
	if got := s.waiting(); len(got) != 1 {
		t.Errorf("the queue holds %v", got)
	}
	if release, ok, err := (&queue{dir: s.queue}).hold(peer{user: silent.user, address: "127.0.0.1", port: int64(silent.port)}.identity()); !ok || err != nil {
		t.Errorf("the lock outlived its process: %v", err)
	} else {
		release()
	}
}
