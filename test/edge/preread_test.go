package edge

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/target/redis/redistest"
	"github.com/certfleet/certfleet/internal/trial"
)

// streamModule is Debian's.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// front is the stream block of our example, with the addresses of a test: where it
// listens, and the node that answers challenges. REST is the rig's TLS server.
func front(t testing.TB, listen, node string) string {
	t.Helper()
	if _, err := os.Stat(streamModule); err != nil {
		trial.Missing(t, "nginx's stream module", "libnginx-mod-stream")
	}
	text, err := os.ReadFile(filepath.Join(luaDir(t), "examples", "tlsalpn01.conf"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "\nstream {")
	if !found {
		t.Fatal("the example has no stream block")
	}
	hop := "127.0.0.1:" + redistest.FreePort(t)
	return "stream {" + strings.NewReplacer("listen 443;", "listen "+listen+";", "127.0.0.1:8443", "REST", "127.0.0.1:8444", hop, "127.0.0.1:7244", node).Replace(block)
}

func TestALPNChallengesPassThroughNginx(t *testing.T) {
	trial.InFull(t)
	public, node := port(t), loopback(port(t))
	h := newHouse(t, func(c *config.Config, o *pebble.Options) { o.TLSPort, c.Listen.TLSALPN01 = public, node })
	r := start(t, settings{Listen: "proxy_protocol", Stream: front(t, string(loopback(public)), string(node))})
	got := h.want("alpn", nil, "shop.example.com") // the CA asks at the stream block's port
	r.TLS = string(loopback(public))               // where everybody comes from now on
	b := r.bundle(1, "shop.example.com")
	r.deliver(b)
	r.expect("shop.example.com", b.Fingerprint)
	r.expectDefault("", "nobody.example.com")
	if got.Certificate.VersionID == 0 {
		t.Error("the order through the stream block brought nothing")
	}
	if _, err := (hello{name: "shop.example.com", alpn: []string{"acme-tls/1"}}).shake(r.TLS); err == nil {
		t.Error("a challenge that is not open was answered")
	}
	if state, err := (hello{name: "shop.example.com", alpn: []string{"http/1.1"}, version: tls.VersionTLS12}).shake(r.TLS); err != nil || state.Version != tls.VersionTLS12 {
		t.Errorf("a browser is turned away: %v", err)
	}
}

// preread is one static certificate behind our stream block, in one worker.
func preread() *contender {
	return &contender{name: "preread", open: func(b *testing.B, c *contender) {
		public := "127.0.0.1:" + redistest.FreePort(b)
		c.nginx(b, settings{Plain: true, Listen: "proxy_protocol", Stream: front(b, public, "127.0.0.1:1")})
		c.addr = public
	}}
}
