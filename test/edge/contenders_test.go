package edge

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/target/redis/redistest"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

// shops are pairs for shop0.example.com and so on, made once for all contenders.
var shops struct {
	sync.Mutex
	list []certfleet.Bundle // guarded by Mutex
}

func bundles(b *testing.B, n int) []certfleet.Bundle {
	b.Helper()
	shops.Lock()
	defer shops.Unlock()
	for i := len(shops.list); i < n; i++ {
		shops.list = append(shops.list, targettest.Bundle(b, shop(i), int64(i+1), shop(i)))
	}
	return shops.list[:n]
}

// folder holds a file for each name, chain and key together.
func folder(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	for _, x := range bundles(b, n) {
		pem := append(append([]byte{}, x.ChainPEM...), x.KeyPEM...)
		if err := os.WriteFile(filepath.Join(dir, x.Certificate+".pem"), pem, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func (c *contender) nginx(b *testing.B, s settings) *rig {
	b.Helper()
	r := start(b, s)
	c.addr, c.pid = r.TLS, workerOf(b, r.cmd.Process.Pid)
	return r
}

// static is the reference: one certificate, known at start.
func static() *contender {
	return &contender{name: "static", open: func(b *testing.B, c *contender) { c.nginx(b, settings{Plain: true}) }}
}

// hook is what the hook costs that we stand in.
func hook() *contender {
	return &contender{name: "hook", open: func(b *testing.B, c *contender) {
		c.nginx(b, settings{Plain: true, Serve: "local nothing = 1"})
	}}
}

// module is ours, with all names parsed.
func module(names int) *contender {
	return &contender{name: fmt.Sprintf("module-%d", names), names: names, warm: true, open: func(b *testing.B, c *contender) {
		c.filled(b, "ttl = 3600, lru_size = 20000", "64m")
	}}
}

// manyNames is ours with so many names that a worker may keep only some parsed.
// The shared dict is filled by a route, which takes a handshake's lookup alone.
func manyNames(names, parsed int) *contender {
	return &contender{name: fmt.Sprintf("module-%d-lru-%d", names, parsed), names: names, warm: parsed >= names, open: func(b *testing.B, c *contender) {
		r := c.filled(b, fmt.Sprintf("ttl = 36000, lru_size = %d", parsed), fmt.Sprintf("%dm", names/200))
		if !c.warm {
			if status, body := r.get("/fill"); status != 200 {
				b.Fatalf("fill the shared dict: status %d: %s", status, body)
			}
		}
	}}
}

const fillRoute = `location = /fill { content_by_lua_block {
	local f = require("resty.certfleet").fleet()
	for i = 0, %d do
		assert(f:get("shop" .. i .. ".example.com"))
	end
} }`

func (c *contender) filled(b *testing.B, options, dict string) *rig {
	b.Helper()
	r := c.nginx(b, settings{Options: options + ", subscribe = false", Dict: dict, Admin: fmt.Sprintf(fillRoute, c.names-1)})
	list := bundles(b, c.names)
	for ; len(list) > 0; list = list[min(500, len(list)):] {
		r.deliver(list[:min(500, len(list))]...)
	}
	return r
}

const plainServer = `server {
	listen %s ssl; server_name %s;
	ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;
	ssl_certificate %[3]s; ssl_certificate_key %[3]s;
	return 200;
}
`

// blocks is nginx with a server block for each name.
func blocks(names int) *contender {
	return &contender{name: fmt.Sprintf("blocks-%d", names), names: names, open: func(b *testing.B, c *contender) {
		addr, dir := "127.0.0.1:"+redistest.FreePort(b), folder(b, names)
		var conf strings.Builder
		conf.WriteString("server_names_hash_max_size 8192; server_names_hash_bucket_size 128;\n")
		for i := range names {
			fmt.Fprintf(&conf, plainServer, addr, shop(i), filepath.Join(dir, shop(i)+".pem"))
		}
		c.nginx(b, settings{Plain: true, Http: conf.String()})
		c.addr = addr
	}}
}

// byVariable is nginx that reads the name's file in each handshake.
func byVariable(names int) *contender {
	return &contender{name: fmt.Sprintf("variable-%d", names), names: names, open: func(b *testing.B, c *contender) {
		addr := "127.0.0.1:" + redistest.FreePort(b)
		c.nginx(b, settings{Plain: true, Http: fmt.Sprintf(plainServer, addr, "_", filepath.Join(folder(b, names), "$ssl_server_name.pem"))})
		c.addr = addr
	}}
}

// haproxy has a folder of pairs, all read at start.
func haproxy(names int) *contender {
	return &contender{name: fmt.Sprintf("haproxy-%d", names), names: names, open: func(b *testing.B, c *contender) {
		c.addr = "127.0.0.1:" + redistest.FreePort(b)
		file := filepath.Join(b.TempDir(), "haproxy.cfg")
		text := fmt.Sprintf(`global
	nbthread 1
	tune.ssl.cachesize 0
defaults
	mode http
	timeout client 10s
	timeout server 10s
	timeout connect 10s
frontend tls
	bind %s ssl crt %s no-tls-tickets alpn http/1.1
	http-request return status 200
`, c.addr, folder(b, names))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		c.process(b, exec.Command(trial.Program(b, "haproxy", "haproxy"), "-db", "-f", file))
	}}
}

// caddy has a folder of pairs, all read at start.
func caddy(program string, names int) *contender {
	return &contender{name: fmt.Sprintf("caddy-%d", names), names: names, open: func(b *testing.B, c *contender) {
		c.addr = "127.0.0.1:" + redistest.FreePort(b)
		home := b.TempDir()
		file := filepath.Join(home, "caddy.json")
		text := fmt.Sprintf(`{"admin": {"disabled": true}, "logging": {"logs": {"default": {"level": "ERROR"}}},
	"storage": {"module": "file_system", "root": %q},
	"apps": {
		"tls": {"certificates": {"load_folders": [%q]}, "session_tickets": {"disabled": true}, "cache": {"capacity": 1000000}},
		"http": {"servers": {"one": {"listen": [%q], "protocols": ["h1"], "automatic_https": {"disable": true},
			"tls_connection_policies": [{}], "routes": [{"handle": [{"handler": "static_response", "status_code": 200}]}]}}}
	}}`, home, folder(b, names), c.addr)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(program, "run", "--config", file)
		cmd.Env = append(os.Environ(), "HOME="+home, "GOMAXPROCS=1")
		c.process(b, cmd)
	}}
}

// serveFrom makes this program the server of a folder, instead of tests.
const serveFrom = "CERTFLEET_BENCH_FOLDER"

// goServer is Go's own TLS with pairs in a map, in a process of its own.
func goServer(names int) *contender {
	return &contender{name: fmt.Sprintf("go-%d", names), names: names, open: func(b *testing.B, c *contender) {
		c.addr = "127.0.0.1:" + redistest.FreePort(b)
		cmd := exec.Command(os.Args[0], c.addr)
		cmd.Env = append(os.Environ(), serveFrom+"="+folder(b, names), "GOMAXPROCS=1")
		c.process(b, cmd)
	}}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveFrom); dir != "" {
		fmt.Fprintln(os.Stderr, serveFolder(dir, os.Args[1]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveFolder(dir, addr string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		return err
	}
	pairs := map[string]*tls.Certificate{}
	for _, f := range files {
		pair, err := tls.LoadX509KeyPair(f, f)
		if err != nil {
			return err
		}
		pairs[strings.TrimSuffix(filepath.Base(f), ".pem")] = &pair
	}
	ln, err := tls.Listen("tcp", addr, &tls.Config{SessionTicketsDisabled: true, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return pairs[h.ServerName], nil }})
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			conn.Read(make([]byte, 1)) // shakes hands, then waits for the client to leave
		}()
	}
}

// longestStart is how long a server may read its pairs.
const longestStart = 3 * time.Minute

// process runs a server until the benchmark ends.
func (c *contender) process(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	c.pid = cmd.Process.Pid
	for deadline := time.Now().Add(longestStart); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", c.addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			b.Logf("%s does not listen after %v: %s", c.name, longestStart, out.String())
			c.late = true
			return
		}
	}
}
