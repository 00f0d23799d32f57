package sftp

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

// OpenSSH's own client is what people push with by hand.
func TestOpenSSHClientPushesToAgent(t *testing.T) {
	t.Parallel()
	trial.Program(t, "sftp", "openssh-client")
	h, live := ours(t, nil)
	b := shop(t, 1)
	files, err := lineage.Split(b)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range files {
		os.WriteFile(filepath.Join(dir, name), data, 0o600)
	}
	known := filepath.Join(dir, "known_hosts")
	os.WriteFile(known, fmt.Appendf(nil, "[127.0.0.1]:%d %s\n", h.port, h.hostKey), 0o600)
	batch := fmt.Sprintf("mkdir shop\nput -p %[1]s/fullchain.pem shop/fullchain.pem\nput %[1]s/privkey.pem shop\n", dir)
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sftp", "-b", "-", "-P", strconv.Itoa(h.port), "-i", h.key, "-o", "UserKnownHostsFile="+known, "-o", "IdentitiesOnly=yes", "-F", "/dev/null", "certfleet@127.0.0.1")
	cmd.Stdin = strings.NewReader(batch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	chain, key, err := readPair(filepath.Join(live, "live", "shop"))
	if err != nil || !bytes.Equal(chain, files[lineage.FullChain]) || !bytes.Equal(key, files[lineage.PrivKey]) {
		t.Errorf("live is another pair, or none: %v", err)
	}
}

const nginxConf = `
daemon on;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen 127.0.0.1:%[2]d ssl;
		ssl_certificate %[3]s/fullchain.pem;
		ssl_certificate_key %[3]s/privkey.pem;
	}
}
`

// The whole way: pushed, live, reloaded, and seen in a handshake.
func TestPushIsServedByNginxBehindAgent(t *testing.T) {
	t.Parallel()
	trial.Program(t, "nginx", "nginx")
	dir, port := t.TempDir(), porttest.Port(t)
	conf := filepath.Join(dir, "nginx.conf")
	h, live := ours(t, func(c *agent.Config) {
		parsed, err := agent.Parse([]byte("updaters:\n  web:\n    type: nginx\n    conf: "+conf+"\n    prefix: "+dir+"\n    retries: -1\n"), "test")
		if err != nil {
			t.Fatal(err)
		}
		c.Updaters = parsed.Updaters
	})
	os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, port, filepath.Join(live, "live", "shop")), 0o600)
	target := h.target(t, nil)
	must(t, target, shop(t, 1)) // the service is not there yet, which is told and nothing worse
	if out, err := exec.Command("nginx", "-p", dir, "-c", conf).CombinedOutput(); err != nil {
		t.Fatalf("start nginx: %v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command("nginx", "-p", dir, "-c", conf, "-s", "stop").Run() })
	name, _ := certfleet.ParseName("shop.example.com")
	for v := range int64(3) {
		b := targettest.Bundle(t, "shop", v+2, "shop.example.com")
		must(t, target, b)
		trial.Until(t, fmt.Sprintf("version %d, %.12s, is served", b.Version, b.Fingerprint), func() (bool, string) {
			s, err := probe.Look(t.Context(), "127.0.0.1:"+strconv.Itoa(port), name, probe.Options{})
			return err == nil && s.Fingerprint == b.Fingerprint, fmt.Sprintf("%.12s, %v", s.Fingerprint, err)
		})
	}
}

// BenchmarkPairsToOneAgent is what one pair costs when many travel together.
func BenchmarkPairsToOneAgent(b *testing.B) {
	h, _ := ours(b, nil)
	target := h.target(b, nil)
	bundles := make([]certfleet.Bundle, b.N)
	for i := range bundles {
		bundles[i] = targettest.Bundle(b, fmt.Sprintf("site%d", i), 1, fmt.Sprintf("site%d.example.com", i))
	}
	b.ResetTimer()
	must(b, target, bundles...)
}

// BenchmarkOneChange is one push to one agent, connection and all.
func BenchmarkOneChange(b *testing.B) {
	h, _ := ours(b, nil)
	target := h.target(b, nil)
	var version int64
	for b.Loop() {
		b.StopTimer()
		version++
		x := shop(b, version)
		b.StartTimer()
		must(b, target, x)
	}
}
