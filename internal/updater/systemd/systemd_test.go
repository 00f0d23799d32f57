package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/trial"
)

// standIn is a systemctl that speaks as the real one does, since no systemd runs
// where tests run. Its state lies in a folder: FOLDER/UNIT says what an action
// leads to, FOLDER/calls what was asked for.
const standIn = `#!/bin/sh
dir=$(dirname "$0")
[ "$1" = --no-ask-password ] && [ "$2" = --no-pager ] || { echo "Unknown option" >&2; exit 1; }
echo "$3 $4" >> "$dir/calls"
[ -f "$dir/$4" ] || {
	[ "$3" = is-active ] && { echo inactive; exit 4; }
	echo "Failed to $3 $4: Unit $4 not found." >&2; exit 5
}
state=$(cat "$dir/$4")
case "$3" in
show) [ "$state" = fades ] && echo simple || cat "$dir/$4" ;;
is-active) [ "$state" = fades ] && [ $(grep -c is-active "$dir/calls") = 1 ] && state=active # it ends a moment later
	case "$state" in active) echo active; exit 0;; oneshot|simple) echo inactive; exit 3;; *) echo failed; exit 3;; esac ;;
reload|restart|reload-or-restart|try-restart) case "$state" in
	refuses) echo "Job for $4 failed because the control process exited with error code." >&2; exit 1 ;;
	hangs) sleep 60 ;;
	esac ;;
*) echo "Unknown command verb $3." >&2; exit 1 ;;
esac
`

func newStandIn(t *testing.T, state string) (program, dir string) {
	t.Helper()
	dir = t.TempDir()
	program = filepath.Join(dir, "systemctl")
	if err := os.WriteFile(program, []byte(standIn), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "web.service"), []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	return program, dir
}

func TestUnitIsActedOnAndLookedAt(t *testing.T) {
	for action, want := range map[string]string{"": "reload-or-restart", "reload": "reload", "restart": "restart"} {
		program, dir := newStandIn(t, "active")
		u, err := New(Config{Unit: "web.service", Action: action, Systemctl: program}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		said, err := u.Tell(t.Context(), nil)
		calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
		asked := want + " web.service\nis-active web.service\n"
		if want != "reload" {
			asked += "show web.service\n" // whether its start says anything
		}
		if err != nil || said != "active" || string(calls) != asked {
			t.Errorf("%q: %q, %v after %q", action, said, err, calls)
		}
	}
}

func TestUnitThatDoesNotComeUpIsAnError(t *testing.T) {
	trial.InFull(t)
	for state, want := range map[string]string{"dead": `its state is "failed"`, "fades": `its state is "failed"`, "refuses": "control process exited", "hangs": "was ended after"} {
		program, _ := newStandIn(t, state)
		u, err := New(Config{Unit: "web.service", Systemctl: program, Timeout: certfleet.Duration(500 * time.Millisecond)}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Update(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: got %v, want %q and advice", state, err, want)
		}
	}
	program, _ := newStandIn(t, "active")
	u, _ := New(Config{Unit: "other.service", Systemctl: program}, dial.Deps{})
	if err := u.Update(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a unit that is not there: %v", err)
	}
	u, _ = New(Config{Unit: "web.service", Systemctl: filepath.Join(t.TempDir(), "none")}, dial.Deps{})
	if err := u.Update(t.Context(), nil); certfleet.KindOf(err) != certfleet.NotFound {
		t.Errorf("without systemctl: %v", err)
	}
}

func TestUnitAndActionAreChecked(t *testing.T) {
	for _, unit := range []string{"app@1.service", `dev-disk\x2d.mount`, "a:b.timer", "x.socket"} {
		if _, err := New(Config{Unit: unit}, dial.Deps{}); err != nil {
			t.Errorf("%q is refused: %v", unit, err)
		}
	}
	for _, unit := range []string{"", "nginx", "--now.service", "a b.service", "x.service; reboot", "x.serviced"} {
		if _, err := New(Config{Unit: unit}, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid {
			t.Errorf("%q is taken: %v", unit, err)
		}
	}
	if _, err := New(Config{Unit: "x.service", Action: "stop"}, dial.Deps{}); certfleet.AdviceOf(err) == "" {
		t.Errorf("action stop: %v", err)
	}
}

func TestOneshotUnitMayEndWithItsWork(t *testing.T) {
	program, _ := newStandIn(t, "oneshot")
	for unit, want := range map[string]bool{"web.service": true, "job.service": false} {
		os.WriteFile(filepath.Join(filepath.Dir(program), "job.service"), []byte("simple"), 0o600)
		u, err := New(Config{Unit: unit, Action: "restart", Systemctl: program}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		said, err := u.Tell(t.Context(), nil)
		if (err == nil) != want || said != "inactive" {
			t.Errorf("%s: %q, %v", unit, said, err)
		}
	}
}
