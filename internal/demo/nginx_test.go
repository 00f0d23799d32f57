package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/trial"
)

// shown is what a person sees of a demo in a folder.
func shown(t *testing.T, dir string) string {
	t.Helper()
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Once: true, Dir: dir, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String()
}

func TestNginxServesFromRedisWhereItIsInstalled(t *testing.T) {
	trial.InFull(t)
	if find("nginx") == "" || find("redis-server") == "" || !exists(nginxModules[1]) {
		trial.Missing(t, "nginx with ngx_lua, or redis-server", "libnginx-mod-http-lua redis-server")
	}
	dir, err := os.MkdirTemp("", "demo") // short, for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	want := 0
	for _, w := range wishes {
		if w.nginx {
			want += len(w.names)
		}
	}
	out := shown(t, dir)
	if line := ": " + plural(want, "name") + " found by server name in Redis and seen in a handshake."; !strings.Contains(out, line) {
		t.Errorf("nothing says %q:\n%s", line, out)
	}
	if exists(filepath.Join(dir, "nginx", "nginx.pid")) {
		t.Error("nginx was left running")
	}
}

func TestWithoutNginxTheDemoSaysWhyAndShowsTheRest(t *testing.T) {
	trial.InFull(t)
	dir := filepath.Join(t.TempDir(), "a folder that nginx cannot use")
	if out := shown(t, dir); !strings.Contains(out, "No nginx edge is shown: ") || !strings.Contains(out, "seen in a handshake with the edge") {
		t.Errorf("it says\n%s", out)
	}
}
