package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/lua"
)

// Where Debian puts what nginx loads.
var nginxModules = []string{"/usr/lib/nginx/modules/ndk_http_module.so", "/usr/lib/nginx/modules/ngx_http_lua_module.so"}

// nginxStart bounds how long Redis and nginx may take to listen.
const nginxStart = 20 * time.Second

// nginx is an edge as it is in the field: nginx with our Lua module, which finds
// each name in a Redis that the manager writes to.
type nginx struct {
	addr     string
	spec     []byte // of the target that leads to it, JSON
	programs []*program
}

// program is a process of the demo's.
type program struct {
	*exec.Cmd
	ended chan error
}

// startNginx starts Redis and nginx where they are installed. A person without
// them has the demo all the same: the error says why there is none.
func startNginx(h *home) (*nginx, error) {
	paths := map[string]string{}
	for _, name := range []string{"nginx", "redis-server"} {
		if paths[name] = find(name); paths[name] == "" {
			return nil, errors.New(name + " is not installed")
		}
	}
	for _, m := range nginxModules {
		if !exists(m) {
			return nil, errors.New("nginx has no ngx_lua")
		}
	}
	n := &nginx{}
	if err := n.start(h, paths["redis-server"], paths["nginx"]); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *nginx) start(h *home, redisPath, nginxPath string) (err error) {
	if n.addr, err = n.furnish(h); err != nil {
		return err
	}
	dir, socket := h.path("nginx"), h.path("nginx", "redis.sock")
	if err := n.run("unix", socket, redisPath, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--dir", dir); err != nil {
		return err
	}
	if err := n.run("tcp", n.addr, nginxPath, "-p", dir, "-c", h.path("nginx", "nginx.conf"), "-e", h.path("nginx", "error.log")); err != nil {
		return err
	}
	n.spec, err = json.Marshal(map[string]string{"url": "unix://" + socket + "?db=9"})
	return err
}

func find(name string) string {
	for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	return ""
}

var nginxConf = template.Must(template.New("nginx.conf").Parse(`{{range .Modules}}load_module {{.}};
{{end}}{{if .Root}}user root;
{{end}}worker_processes 1;
daemon off;
pid "{{.Dir}}/nginx.pid";
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path "{{.Dir}}/body"; proxy_temp_path "{{.Dir}}/proxy"; fastcgi_temp_path "{{.Dir}}/fastcgi"; uwsgi_temp_path "{{.Dir}}/uwsgi"; scgi_temp_path "{{.Dir}}/scgi";
	lua_package_path "{{.Dir}}/lua/lib/?.lua;;";
	lua_shared_dict certfleet 4m;
	lua_shared_dict certfleet_misses 1m;
	init_by_lua_block { require("resty.certfleet").setup({ redis = "unix:{{.Dir}}/redis.sock", error_ttl = 0.2 }) }
	init_worker_by_lua_block { require("resty.certfleet").init_worker() }
	server {
		listen {{.Addr}} ssl;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_certificate "{{.Dir}}/default.pem";
		ssl_certificate_key "{{.Dir}}/default.key";
		ssl_certificate_by_lua_block { require("resty.certfleet").serve() }
		location / { default_type text/plain; return 200 "$ssl_server_name is served by nginx\n"; }
	}
}
`))

// furnish puts the module, a default certificate and the configuration into a
// folder, and answers where nginx will listen.
func (n *nginx) furnish(h *home) (addr string, err error) {
	dir := h.path("nginx")
	if strings.ContainsAny(dir, "\"'\\;{}$?# ") || len(dir) > 80 { // neither nginx nor a socket would take it
		return "", errors.New("the demo's folder has a name that nginx cannot use")
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(dir, "lua"), lua.Lib); err != nil {
		return "", err
	}
	if err := defaultPair(dir); err != nil {
		return "", err
	}
	ln, err := freePort()
	if err != nil {
		return "", err
	}
	defer ln.Close() // nginx takes the port a moment later
	var b bytes.Buffer
	err = nginxConf.Execute(&b, map[string]any{"Dir": dir, "Addr": ln.Addr(), "Modules": nginxModules, "Root": os.Getuid() == 0})
	return ln.Addr().String(), errors.Join(err, os.WriteFile(filepath.Join(dir, "nginx.conf"), b.Bytes(), 0o600))
}

// defaultPair is what nginx shows for names that nobody has.
func defaultPair(dir string) error {
	ca, err := pki.NewCA("certfleet demo, nobody's name", time.Now())
	if err != nil {
		return err
	}
	issued, err := ca.IssueServer([]string{"default.invalid"}, 24*time.Hour, time.Now())
	if err != nil {
		return err
	}
	defer issued.KeyPEM.Wipe()
	return errors.Join(os.WriteFile(filepath.Join(dir, "default.pem"), issued.ChainPEM, 0o600), os.WriteFile(filepath.Join(dir, "default.key"), issued.KeyPEM, 0o600))
}

// run starts a program in a group of its own, so that Ctrl-C ends the demo and the
// demo ends it, and waits until it listens.
func (n *nginx) run(network, addr, path string, args ...string) error {
	p := &program{Cmd: exec.Command(path, args...), ended: make(chan error, 1)}
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Start(); err != nil {
		return err
	}
	go func() { p.ended <- p.Wait() }()
	n.programs = append(n.programs, p)
	for deadline := time.Now().Add(nginxStart); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if c, err := net.DialTimeout(network, addr, time.Second); err == nil {
			return c.Close()
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("%s ended at once: %w", filepath.Base(path), err)
		default:
		}
	}
	return fmt.Errorf("%s does not listen within %s", filepath.Base(path), nginxStart)
}

// close ends the programs, nginx first.
func (n *nginx) close() error {
	var all error
	for i := len(n.programs) - 1; i >= 0; i-- {
		all = errors.Join(all, n.programs[i].end())
	}
	n.programs = nil
	return all
}

func (p *program) end() error {
	p.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.ended:
		return nil
	case <-time.After(3 * time.Second):
	}
	err := p.Process.Kill()
	<-p.ended
	return err
}
