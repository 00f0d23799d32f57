// Package edge drives Debian's nginx with our Lua module and a real Redis over
// loopback, as clients and operators do.
package edge

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/redis"
	"github.com/certfleet/certfleet/internal/target/redis/redistest"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
	goredis "github.com/redis/go-redis/v9"
)

// settings are what differs between the nginx of two tests. REDIS_PORT and
// REDIS_SOCKET in their texts are filled in.
type settings struct {
	Options  string // Lua, inside the table of certfleet.setup
	Workers  int
	Dict     string // size of the dict of pairs
	Redis    redis.Config
	RedisArg []string
	Http     string // more of the http block; Plain leaves our own lines out
	Serve    string // the body of ssl_certificate_by_lua_block
	Admin    string // more of the plain server
	Listen   string // more of the listen line
	Stream   string // a stream block, beside the http block
	TLSConf  string // in place of the TLS server's ssl_certificate lines
	Plain    bool
	Before   func(*rig) // once Redis runs, before the configuration is written
}

// rig is one nginx beside one Redis.
type rig struct {
	testing.TB
	settings
	Dir, Lua, TLS, HTTP, User string
	Load                      []string
	server                    *redistest.Server
	target                    *redis.Target
	db                        *goredis.Client
	cmd                       *exec.Cmd
	fallback                  string       // fingerprint of the default certificate
	shaken                    atomic.Int64 // handshakes that came to an end
}

var nginxConf = template.Must(template.New("nginx.conf").Parse(`
{{range .Load}}load_module {{.}};
{{end}}{{.User}}
worker_processes {{.Workers}};
daemon off;
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/error.log notice;
worker_rlimit_nofile 8192;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body; proxy_temp_path {{.Dir}}/proxy; fastcgi_temp_path {{.Dir}}/f; uwsgi_temp_path {{.Dir}}/u; scgi_temp_path {{.Dir}}/s;
	lua_package_path "{{.Lua}}/lib/?.lua;;";
	{{.Http}}
	{{if not .Plain}}
	lua_shared_dict certfleet {{.Dict}};
	lua_shared_dict certfleet_misses 1m;
	init_by_lua_block { require("resty.certfleet").setup({ {{.Options}} }) }
	init_worker_by_lua_block { require("resty.certfleet").init_worker() }
	{{end}}
	server {
		listen {{.TLS}} ssl {{.Listen}};
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_session_tickets off;
		{{if .TLSConf}}{{.TLSConf}}{{else}}
		ssl_certificate {{.Dir}}/default.pem;
		ssl_certificate_key {{.Dir}}/default.key;
		{{end}}
		{{if .Serve}}ssl_certificate_by_lua_block { {{.Serve}} }{{end}}
		location / { return 200 "served\n"; }
	}
	server {
		listen {{.HTTP}};
		{{.Admin}}
		{{if not .Plain}}
		location /.peter_sslers/nginx/shared_cache/expire { content_by_lua_block { require("resty.certfleet").expire() } }
		location = /.peter_sslers/nginx/shared_cache/status { content_by_lua_block { require("resty.certfleet").status() } }
		location = /metrics { content_by_lua_block { require("resty.certfleet").metrics() } }
		{{end}}
	}
}
{{.Stream}}
`))

// modules are Debian's load_module lines; where nginx has ngx_lua built in, as
// OpenResty does, none.
func modules(t testing.TB) []string {
	t.Helper()
	var list []string
	for _, m := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
		path := "/usr/lib/nginx/modules/" + m
		if _, err := os.Stat(path); err == nil {
			list = append(list, path)
		}
	}
	if len(list) < 2 {
		trial.Missing(t, "ngx_lua", "libnginx-mod-http-lua")
	}
	return list
}

func luaDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../../lua")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t testing.TB, s settings) *rig {
	t.Helper()
	if _, test := t.(*testing.T); test {
		trial.InFull(t)
	}
	trial.Program(t, "nginx", "nginx")
	r := &rig{TB: t, settings: s, Dir: t.TempDir(), Lua: luaDir(t), Load: modules(t)}
	if s.Stream != "" {
		r.Load = append(r.Load, streamModule)
	}
	r.server = redistest.Start(t, s.RedisArg...)
	if r.settings.Redis.URL == "" {
		r.settings.Redis.URL = r.server.URL(9)
	}
	r.target = r.newTarget()
	r.db = goredis.NewClient(&goredis.Options{Addr: r.server.Addr, DB: 9, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { r.db.Close() })
	if s.Before != nil {
		s.Before(r)
	}
	r.defaults()
	r.writeConfig()
	r.run()
	return r
}

func (r *rig) newTarget() *redis.Target {
	r.Helper()
	target, err := redis.New(r.settings.Redis, dial.Deps{})
	if err != nil {
		r.Fatal(err)
	}
	return target
}

func (r *rig) defaults() {
	r.TLS, r.HTTP = "127.0.0.1:"+redistest.FreePort(r), "127.0.0.1:"+redistest.FreePort(r)
	if os.Getuid() == 0 {
		r.User = "user root;" // it must read and write in this test's folder
	}
	r.Workers = max(r.Workers, 1)
	if r.Dict == "" {
		r.Dict = "16m"
	}
	if r.Serve == "" && !r.Plain {
		r.Serve = `require("resty.certfleet").serve()`
	}
	// What is not about waiting for Redis or the manager must not give them up when
	// the machine is busy.
	for _, o := range []string{"redis_connect_timeout = 30000", "redis_read_timeout = 30000", "manager_timeout = 30000", "wait = 30"} {
		if word, _, _ := strings.Cut(o, " "); !regexp.MustCompile(`\b` + word + ` =`).MatchString(r.Options) {
			r.Options = o + ", " + r.Options
		}
	}
	if !strings.Contains(r.Options, "redis =") {
		r.Options = fmt.Sprintf("redis = %q, %s", r.server.URL(9), r.Options)
	}
	fill := strings.NewReplacer("REDIS_PORT", r.server.Addr[len("127.0.0.1:"):], "REDIS_SOCKET", r.server.Socket, "DIR/", r.Dir+"/", "REST", r.TLS)
	for _, text := range []*string{&r.Options, &r.Http, &r.Serve, &r.Admin, &r.Stream, &r.TLSConf} {
		*text = fill.Replace(*text)
	}
	b := targettest.Bundle(r, "default", 1, "default.example.net")
	r.fallback = b.Fingerprint
	r.write("default.pem", b.ChainPEM)
	r.write("default.key", b.KeyPEM)
}

func (r *rig) write(name string, b []byte) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.Dir, name), b, 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) writeConfig() {
	r.Helper()
	var b strings.Builder
	if err := nginxConf.Execute(&b, r); err != nil {
		r.Fatal(err)
	}
	r.write("nginx.conf", []byte(b.String()))
}

func (r *rig) run() {
	r.Helper()
	r.cmd = exec.Command(trial.Program(r, "nginx", "nginx"), "-p", r.Dir, "-c", filepath.Join(r.Dir, "nginx.conf"), "-e", filepath.Join(r.Dir, "error.log"))
	var out strings.Builder
	r.cmd.Stderr = &out
	if err := r.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		r.cmd.Process.Signal(syscall.SIGTERM)
		r.cmd.Wait()
		if r.Failed() {
			log, _ := os.ReadFile(filepath.Join(r.Dir, "error.log"))
			r.Logf("nginx said: %s\n%s", out.String(), log)
		}
	})
	r.eventually("nginx listens", func() bool {
		c, err := net.Dial("tcp", r.TLS)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// eventually waits for what must come; the rig tells what nginx said when it does not.
func (r *rig) eventually(what string, is func() bool) {
	r.Helper()
	trial.Until(r.TB, what, func() (bool, string) { return is(), "it is not so" })
}

// deliver writes bundles as the manager does.
func (r *rig) deliver(bundles ...certfleet.Bundle) {
	r.Helper()
	receipts, err := r.target.Deliver(r.Context(), bundles, nil)
	if err != nil {
		r.Fatal(err)
	}
	for _, x := range receipts {
		if x.Err != nil {
			r.Fatal(x.Err)
		}
	}
}

func (r *rig) bundle(version int64, names ...string) certfleet.Bundle {
	return targettest.Bundle(r, strings.TrimPrefix(names[0], "*."), version, names...)
}

// hello is a client; zero fields are Go's defaults.
type hello struct {
	name    string
	version uint16
	ciphers []uint16
	curves  []tls.CurveID
	alpn    []string
}

func (h hello) shake(addr string) (*tls.ConnectionState, error) {
	d := net.Dialer{Timeout: trial.Patience}
	raw, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(trial.Patience))
	c := tls.Client(raw, &tls.Config{ServerName: h.name, InsecureSkipVerify: true, MinVersion: h.version, MaxVersion: h.version, CipherSuites: h.ciphers, CurvePreferences: h.curves, NextProtos: h.alpn})
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	state := c.ConnectionState()
	return &state, nil
}

// served answers the fingerprint that a client of this name is shown.
func (r *rig) served(name string) string {
	r.Helper()
	state, err := hello{name: name}.shake(r.TLS)
	if err != nil {
		r.Errorf("handshake for %q: %v", name, err)
		return ""
	}
	r.shaken.Add(1)
	return pki.Fingerprint(state.PeerCertificates[0])
}

func (r *rig) expect(name, fingerprint string) {
	r.Helper()
	if got := r.served(name); got != fingerprint {
		r.Errorf("%q shows %.12s, want %.12s%s", name, got, fingerprint, map[bool]string{true: " (the default)"}[fingerprint == r.fallback])
	}
}

// expectDefault wants the default certificate and no alert.
func (r *rig) expectDefault(names ...string) {
	r.Helper()
	for _, n := range names {
		r.expect(n, r.fallback)
	}
}

func (r *rig) get(path string) (int, string) {
	r.Helper()
	resp, err := http.Get("http://" + r.HTTP + path)
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// counted reads one counter of the metrics route.
func (r *rig) counted(name string) int {
	r.Helper()
	_, body := r.get("/metrics")
	_, rest, found := strings.Cut(body, "\ncertfleet_edge_"+name+"_total ")
	if !found {
		r.Fatalf("no metric %s in %q", name, body)
	}
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// tallied waits for all workers to hand in what they counted of the handshakes so far,
// which they do each second. It is for tests whose handshakes all are hits or misses.
func (r *rig) tallied() {
	r.Helper()
	trial.Until(r.TB, "every worker hands its counts in", func() (bool, string) {
		n := int64(0)
		for _, c := range []string{"hit_lru", "hit_dict", "hit_redis", "miss"} {
			n += int64(r.counted(c))
		}
		return n >= r.shaken.Load(), fmt.Sprintf("%d counted of %d", n, r.shaken.Load())
	})
}

// expectCounts compares counters of the metrics route.
func (r *rig) expectCounts(want map[string]int) {
	r.Helper()
	for name, n := range want {
		if got := r.counted(name); got != n {
			r.Errorf("%s counted %d, want %d", name, got, n)
		}
	}
}

// listening waits until nginx hears what Redis publishes.
func (r *rig) listening() {
	r.Helper()
	r.eventually("nginx listens in Redis", func() bool {
		n, err := r.db.PubSubNumSub(r.Context(), "certfleet:changed").Result()
		return err == nil && n["certfleet:changed"] > 0
	})
}

func (r *rig) log() string {
	b, _ := os.ReadFile(filepath.Join(r.Dir, "error.log"))
	return string(b)
}

func (r *rig) reload() {
	r.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.Fatal(err)
	}
}

func isECDSA(c *x509.Certificate) bool {
	_, ok := c.PublicKey.(*ecdsa.PublicKey)
	return ok
}
