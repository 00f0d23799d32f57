package systemd

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"

	"github.com/certfleet/certfleet/internal/trial"
)

const manager = "/lib/systemd/systemd"

// realSystemd starts a user manager of systemd in a mount namespace of its own, where
// /run says that systemd runs here. It answers a systemctl that speaks with it, and
// the folder for units.
func realSystemd(t *testing.T) (program, units string) {
	t.Helper()
	instead := func(why string) { t.Helper(); t.Skip(why + "; only the stand-in for systemctl was used") }
	if !trial.Real() {
		instead("CERTFLEET_REAL=1 asks for a real systemd")
	}
	if os.Getuid() != 0 {
		instead("only root makes the namespace that systemd is started in")
	}
	if _, err := os.Stat(manager); err != nil {
		trial.Missing(t, manager, "systemd")
	}
	dir, err := os.MkdirTemp("", "systemd") // short: a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	run, units := filepath.Join(dir, "run"), filepath.Join(dir, "config", "systemd", "user")
	os.MkdirAll(units, 0o700)
	os.Mkdir(run, 0o700)
	cmd, said := exec.Command("sh", "-c", "mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "+manager+" --user"), &bytes.Buffer{}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + run, "XDG_CONFIG_HOME=" + filepath.Join(dir, "config"), "SYSTEMD_LOG_TARGET=console"}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ended, err := trial.Daemon(t, cmd, 20*time.Second) // it stops its units
	if err != nil {
		instead("no namespace for systemd: " + err.Error())
	}
	program = filepath.Join(dir, "systemctl")
	os.WriteFile(program, fmt.Appendf(nil, "#!/bin/sh\nXDG_RUNTIME_DIR=%s exec systemctl --user \"$@\"\n", run), 0o700)
	for range 300 {
		if exec.Command(program, "list-units").Run() == nil {
			return program, units
		}
		select {
		case <-ended:
			instead("systemd does not run here: " + strings.TrimSpace(said.String()))
		case <-time.After(100 * time.Millisecond):
		}
	}
	instead("systemd does not answer here within half a minute")
	return "", ""
}

func TestARealSystemd(t *testing.T) {
	program, units := realSystemd(t)
	log := filepath.Join(filepath.Dir(program), "log")
	for name, text := range map[string]string{
		"web.service":     "[Service]\nExecStartPre=/bin/sh -c 'echo started >> LOG'\nExecStart=/bin/sleep 1000\nExecReload=/bin/sh -c 'echo reloaded >> LOG'\n",
		"plain.service":   "[Service]\nExecStart=/bin/sleep 1000\n", // it cannot reload
		"refuses.service": "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/false\n",
		"slow.service":    "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/sleep 30\n",
		"broken.service":  "[Service]\nType=forking\nExecStart=/bin/false\n",
		"dies.service":    "[Service]\nExecStart=/bin/false\n", // systemd is content as soon as it is started
		"late.service":    "[Service]\nExecStart=/bin/sh -c 'sleep 0.2; exit 1'\n",
		"job.service":     "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo done >> LOG'\n",
		"stopped.service": "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/true\n",
	} {
		os.WriteFile(filepath.Join(units, name), []byte(strings.ReplaceAll(text, "LOG", log)), 0o600)
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Fatalf("systemctl %v: %v, %s", args, err, out)
		}
	}
	must("daemon-reload")
	must("start", "web.service", "plain.service", "refuses.service", "slow.service")
	for _, row := range []struct {
		unit, action string
		wants, fails string // the last line of the log; what the error says
		says         string
	}{
		{"web.service", "reload", "reloaded", "", "active"},
		{"web.service", "", "reloaded", "", "active"},
		{"web.service", "restart", "started", "", "active"},
		{"plain.service", "reload", "", "Job type reload is not applicable", ""},
		{"plain.service", "", "", "", "active"},
		{"refuses.service", "reload", "", "Job for refuses.service failed", ""},
		{"slow.service", "reload", "", "was ended after 1s", ""},
		{"broken.service", "restart", "", "Job for broken.service failed because the control process exited with error code", ""},
		{"dies.service", "restart", "", `its state is "failed"`, ""},
		{"late.service", "restart", "", `its state is "failed"`, ""},
		{"job.service", "restart", "done", "", "inactive"},
		{"stopped.service", "reload", "", "is not active, cannot reload", ""},
		{"stopped.service", "", "", "", "active"},
		{"nothing.service", "restart", "", "Unit nothing.service not found", ""},
	} {
		os.Remove(log)
		limit := 30 * time.Second
		if row.unit == "slow.service" {
			limit = time.Second
		}
		u, err := New(Config{Unit: row.unit, Action: row.action, Systemctl: program, Timeout: certfleet.Duration(limit)}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		said, err := u.Tell(t.Context(), nil)
		if row.fails != "" {
			if err == nil || !strings.Contains(err.Error(), row.fails) || certfleet.AdviceOf(err) == "" {
				t.Errorf("%s of %s: %v (%s), want %q and advice", row.action, row.unit, err, certfleet.AdviceOf(err), row.fails)
			}
			continue
		}
		if err != nil || said != row.says {
			t.Errorf("%s of %s: %q, %v, want %q", row.action, row.unit, said, err, row.says)
		}
		if text, _ := os.ReadFile(log); strings.TrimSpace(string(text)) != row.wants {
			t.Errorf("%s of %s did %q, want %q", row.action, row.unit, text, row.wants)
		}
	}
}
