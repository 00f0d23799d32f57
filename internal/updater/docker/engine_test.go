package docker

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/certfleet/certfleet/internal/trial"
)

// realEngine starts a Docker Engine of its own: in a network and a mount namespace
// of its own, with its data in a folder that goes with the test. A test that cannot
// have one says why, and that the stand-in of the other tests is all that was used.
func realEngine(t *testing.T) (host string, api *client.Client) {
	t.Helper()
	instead := func(why string) { t.Helper(); t.Skip(why + "; only the stand-in for an engine was used") }
	if !trial.Real() {
		instead("CERTFLEET_REAL=1 asks for a real Docker Engine")
	}
	if os.Getuid() != 0 {
		instead("only root starts a Docker Engine")
	}
	trial.Program(t, "dockerd", "docker.io")
	trial.Program(t, "ip", "iproute2")
	dir, err := os.MkdirTemp("", "engine") // short: a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	host = "unix://" + dir + "/d.sock"
	argv := fmt.Sprintf("ip link set lo up && exec dockerd --host %[1]s --data-root %[2]s/data --exec-root %[2]s/exec --pidfile %[2]s/pid --storage-driver vfs --bridge none --iptables=false --ip6tables=false", host, dir)
	cmd, said := exec.Command("sh", "-c", argv), &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	t.Cleanup(func() {
		os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("dockerd said:\n%s", tail(said.String()))
		}
	})
	ended, err := trial.Daemon(t, cmd, 30*time.Second) // it ends its containers and containerd
	if err != nil {
		instead("no namespaces for a Docker Engine: " + err.Error())
	}
	api, err = client.New(client.WithHost(host))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	for range 300 {
		if _, err = api.Ping(t.Context(), client.PingOptions{NegotiateAPIVersion: true}); err == nil {
			return host, api
		}
		select {
		case <-ended:
			instead("dockerd does not run here: " + tail(said.String()))
		case <-time.After(200 * time.Millisecond):
		}
	}
	instead("dockerd does not answer here within a minute: " + err.Error())
	return "", nil
}

func tail(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// serviceSource is a service in a container: it notes what it reads of a certificate
// when it starts, and again with each SIGHUP.
const serviceSource = `package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func read(why string) {
	pem, _ := os.ReadFile("/data/fullchain.pem")
	f, err := os.OpenFile("/data/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintf(f, "%s %s\n", why, pem)
		f.Close()
	}
}

func main() {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGTERM)
	read("started")
	for s := range c {
		if s == syscall.SIGTERM {
			return
		}
		read("reloaded")
	}
}
`

// image makes an image from scratch with the service alone in it.
func image(t *testing.T, api *client.Client) (name string) {
	t.Helper()
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "main.go"), []byte(serviceSource), 0o600)
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "service", "main.go")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GO111MODULE=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the service: %v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "service"))
	if err != nil {
		t.Fatal(err)
	}
	layer := &bytes.Buffer{}
	w := tar.NewWriter(layer)
	w.WriteHeader(&tar.Header{Name: "service", Mode: 0o755, Size: int64(len(program))})
	w.Write(program)
	w.Close()
	said, err := api.ImageImport(t.Context(), client.ImageImportSource{Source: layer, SourceName: "-"}, "service:1", client.ImageImportOptions{Changes: []string{`CMD ["/service"]`}})
	if err != nil {
		t.Fatalf("import the image: %v", err)
	}
	defer said.Close()
	io.Copy(io.Discard, said)
	return "service:1"
}

// notes waits until a service has noted so many lines, and answers them.
func notes(t *testing.T, dir string, n int) []string {
	t.Helper()
	var lines []string
	for end := time.Now().Add(trial.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		b, _ := os.ReadFile(filepath.Join(dir, "log"))
		if lines = strings.Split(strings.TrimSpace(string(b)), "\n"); len(b) > 0 && len(lines) >= n {
			return lines
		}
	}
	t.Fatalf("the service noted %q, want %d lines", lines, n)
	return nil
}
