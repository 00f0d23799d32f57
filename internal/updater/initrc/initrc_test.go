package initrc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestFirstScriptFoundIsCalled(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	script(t, second, "web", `echo "second $1"`)
	for _, want := range []string{"second reload", "first reload"} {
		u, err := New(Config{Name: "web", Action: "reload", Dirs: []string{first, second}}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		if said, err := u.Tell(t.Context(), nil); err != nil || said != want {
			t.Errorf("said %q, %v; want %q", said, err, want)
		}
		script(t, first, "web", `echo "first $1"`)
	}
}

func TestScriptThatFailsOrIsMissing(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "web", "echo port in use >&2; exit 1")
	u, _ := New(Config{Name: "web", Dirs: []string{dir}}, dial.Deps{})
	if err := u.Update(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "port in use") {
		t.Errorf("got %v, want the script's words", err)
	}
	u, _ = New(Config{Name: "other", Dirs: []string{dir}}, dial.Deps{})
	if err := u.Update(t.Context(), nil); certfleet.KindOf(err) != certfleet.NotFound || certfleet.AdviceOf(err) == "" {
		t.Errorf("a missing script: %v", err)
	}
	for _, c := range []Config{{}, {Name: "../web"}, {Name: "-x"}, {Name: "web", Action: "restart; reboot"}} {
		if _, err := New(c, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
