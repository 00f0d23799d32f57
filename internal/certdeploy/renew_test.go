package certdeploy

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

// renews runs certdeploy-server --renew with a shell command as renew_exec.
func renews(t *testing.T, script string, env []string, more ...string) (out string, status int, s *site) {
	t.Helper()
	s = newSite(t)
	s.configure(nobody(t).entry("shop.example"), append(more, "renew_exec: /bin/sh", "renew_args:\n  - -c\n  - |\n    "+strings.ReplaceAll(script, "\n", "\n    "))...)
	out, status = s.server(env, "--renew", "--log-level", "DEBUG")
	return out, status, s
}

func TestRenewRunsTheCommandWithItsArguments(t *testing.T) {
	t.Parallel()
	out, status, _ := renews(t, "echo it was $((6*7))", nil)
	if status != 0 || !strings.Contains(out, "DEBUG:certdeploy-server: Running renew\n") || !strings.Contains(out, "it was 42") || !strings.Contains(out, "INFO:certdeploy-server: Checked for renewable certificates.") {
		t.Errorf("%d: %s", status, out)
	}
}

func TestChattyRenewCommandIsDrained(t *testing.T) {
	t.Parallel()
	out, status, _ := renews(t, "dd if=/dev/zero bs=1024 count=2048 2>/dev/null | tr '\\0' x; echo; echo the end", nil)
	if status != 0 || !strings.Contains(out, "the end") || len(out) > 64<<10 {
		t.Errorf("%d, %d bytes of log", status, len(out))
	}
}

func TestFailedRenewalEndsTheProgramOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		more   []string
		env    []string
		status int
	}{"by default": {nil, nil, 0}, "fail_fast": {[]string{"fail_fast: true"}, nil, 1}, "strictly": {nil, []string{"CERTDEPLOY_SERVER_STRICT_EXIT=true"}, 1}} {
		out, status, _ := renews(t, "echo no network >&2; exit 3", row.env, row.more...)
		if status != row.status || !strings.Contains(out, "ERROR:certdeploy-server: Failed to renew or check certificates: /bin/sh: exit status 3") || !strings.Contains(out, "no network") {
			t.Errorf("%s: %d: %s", name, status, out)
		}
	}
}

func TestTimeoutEndsTheRenewCommandAndWhatItStarted(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	began := time.Now()
	out, status, _ := renews(t, "sleep 300 & echo $! > "+pids+"\nwait", nil, "renew_timeout: 1")
	if took := time.Since(began); status != 0 || took > trial.Patience/2 || !strings.Contains(out, "was ended after 1s") {
		t.Errorf("%d after %s: %s", status, took, out)
	}
	text, _ := os.ReadFile(pids)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child is gone", func() bool {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil && syscall.Kill(pid, 0) == syscall.ESRCH || strings.Contains(string(state), ") Z ")
	})
}

func TestHookWithinARenewalQueuesAndEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lineage, _ := renewed(t, s.live, "shop.example")
	hook := "CERTFLEET_TEST_CERTDEPLOY=server RENEWED_LINEAGE=" + lineage + " RENEWED_DOMAINS=shop.example " + os.Args[0] + " --config " + s.file
	s.configure(nobody(t).entry("shop.example"), "renew_exec: /bin/sh", "renew_args:\n  - -c\n  - |\n    env | grep CERTDEP\n    "+hook)
	for _, env := range []string{"CERTDEPLOY_SERVER_RENEW_ONLY=true", "CERTDEPLOY_RENEW_ONLY=true"} {
		out, status := s.server([]string{env, "CERTDEPLOY_SERVER_LOG_LEVEL=DEBUG"})
		if status != 0 || strings.Contains(out, env) || len(s.waiting()) != 1 {
			t.Errorf("%s: %d, waiting %v: %s", env, status, s.waiting(), out)
		}
	}
}

func TestLineageWithoutFilesCarriesNoPanic(t *testing.T) {
	t.Parallel()
	if _, err := loadLineage(t.TempDir() + "/bad name"); err != errGone {
		t.Errorf("got %v", err)
	}
	dir := filepath.Join(t.TempDir(), "bad name")
	os.Mkdir(dir, 0o700)
	if _, err := loadLineage(dir); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
		t.Errorf("got %v", err)
	}
}
