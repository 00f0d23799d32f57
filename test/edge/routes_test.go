package edge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/target/redis"
	"github.com/certfleet/certfleet/internal/trial"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// answer is the JSON of a route.
func (r *rig) answer(method, path string) (int, http.Header, map[string]any) {
	r.Helper()
	req, err := http.NewRequest(method, "http://"+r.HTTP+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		r.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, resp.Header, body
}

func TestExpireRoutesAnswerAsPeterSSLersExpects(t *testing.T) {
	r := start(t, settings{})
	for _, c := range []struct {
		method, path string
		status       int
		want         map[string]any
	}{
		{"GET", "/all", 200, map[string]any{"result": "success", "expired": "all"}},
		{"POST", "/all", 200, map[string]any{"result": "success", "expired": "all"}},
		{"GET", "/domain/shop.example.com", 200, map[string]any{"result": "success", "expired": "domain", "domain": "shop.example.com"}},
		{"GET", "/domain/a_b.Example.com", 200, map[string]any{"result": "success", "expired": "domain", "domain": "a_b.Example.com"}},
		{"GET", "/domain/*.example.com", 200, map[string]any{"result": "success", "expired": "domain", "domain": "*.example.com"}},
		{"GET", "/else", 404, map[string]any{"result": "error", "expired": "None", "reason": "Unknown URI"}},
		{"GET", "/domain/a/b", 404, map[string]any{"result": "error", "expired": "None"}},
		{"DELETE", "/all", 405, map[string]any{"result": "error"}},
	} {
		status, header, body := r.answer(c.method, expire+c.path)
		for k, v := range c.want {
			if body[k] != v {
				t.Errorf("%s %s: %s is %v, want %v", c.method, c.path, k, body[k], v)
			}
		}
		if status != c.status || body["server"] != "peter_sslers:openresty" || body["server_version"] != "1.0.0" || header.Get("X-Peter-SSLers") != "1.0.0" || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %v %v", c.method, c.path, status, header, body)
		}
	}
}

func TestExpiredNameIsLookedUpByEveryWorker(t *testing.T) {
	trial.InFull(t)
	r := start(t, settings{Workers: 2, Options: "layout = 2, subscribe = false", Redis: redis.Config{Layout: 2}})
	first, second, other := r.bundle(1, "shop.example.com"), r.bundle(2, "shop.example.com"), r.bundle(3, "other.example.com")
	r.deliver(first, other)
	for range 20 {
		r.expect("shop.example.com", first.Fingerprint)
		r.expect("other.example.com", other.Fingerprint)
	}
	r.deliver(second)
	r.expect("shop.example.com", first.Fingerprint) // nobody told it
	r.tallied()
	before := r.counted("lookups_redis")
	r.answer("GET", expire+"/domain/SHOP.example.com")
	for i := range 150 { // what changed since must not hide it
		r.answer("GET", fmt.Sprintf("%s/domain/else%d.example.com", expire, i))
	}
	for range 20 {
		r.expect("shop.example.com", second.Fingerprint)
		r.expect("other.example.com", other.Fingerprint)
	}
	r.tallied()
	if n := r.counted("lookups_redis") - before; n != 1 {
		t.Errorf("%d lookups for one expired name, want 1", n)
	}
}

func TestStatusListsNamesAsJSON(t *testing.T) {
	r := start(t, settings{})
	_, _, empty := r.answer("GET", "/.peter_sslers/nginx/shared_cache/status")
	if keys, ok := empty["keys"].(map[string]any); !ok || fmt.Sprint(keys["valid"]) != "[]" {
		t.Errorf("an empty cache lists %v", empty["keys"])
	}
	r.deliver(r.bundle(1, "shop.example.com"))
	r.served("shop.example.com")
	r.served("nobody.example.com")
	_, _, body := r.answer("GET", "/.peter_sslers/nginx/shared_cache/status")
	keys := body["keys"].(map[string]any)
	if fmt.Sprint(keys["valid"]) != "[shop.example.com]" || fmt.Sprint(keys["invalid"]) != "[nobody.example.com]" || body["result"] != "success" {
		t.Errorf("status lists %v", keys)
	}
}

// shims are configurations that the originals were installed with.
func TestShimsServeWithTheOriginalsConfiguration(t *testing.T) {
	lua := luaDir(t)
	for name, s := range map[string]settings{
		"resty.peter_sslers": {
			Http:  `lua_shared_dict cert_cache 1m; init_by_lua_block { require("resty.peter_sslers").initialize() }`,
			Serve: `local p = require "resty.peter_sslers"; p.redis_update_defaults("127.0.0.1", "REDIS_PORT", 9); p.set_ssl_certificate(1, "MANAGER", nil, {"mine", "x509_certificate__latest_single"})`,
			Admin: `location /x { content_by_lua_block { require("resty.peter_sslers").expire_ssl_certs() } } location /status { content_by_lua_block { require("resty.peter_sslers").status_ssl_certs() } }`,
		},
		"resty.peter_sslers with worker": {
			Http:  `lua_shared_dict cert_cache 1m; init_worker_by_lua_block { local p = require("resty.peter_sslers"); p.initialize_worker(600, 60, 200); p.redis_update_defaults("127.0.0.1", "REDIS_PORT", 9) }`,
			Serve: `require("resty.peter_sslers").set_ssl_certificate(1, "MANAGER")`,
			Admin: `location /x { content_by_lua_block { require("resty.peter_sslers").expire_ssl_certs() } } location /status { content_by_lua_block { require("resty.peter_sslers").status_ssl_certs() } }`,
		},
		"ssl_certhandler": {
			Http:  `lua_shared_dict cert_cache 1m;`,
			Serve: `require("ssl_certhandler").set_ssl_certificate(ngx.shared.cert_cache, 7200, nil, "MANAGER")`,
			Admin: `location /x { content_by_lua_file ` + lua + `/ssl_certhandler-expire.lua; }`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			s.Plain, s.Redis = true, redis.Config{Layout: 1}
			s.Serve = strings.ReplaceAll(s.Serve, "MANAGER", m.URL)
			r := start(t, s)
			r.servesAsThePeterSSLersShim(m, name == "ssl_certhandler")
		})
	}
}

func (r *rig) servesAsThePeterSSLersShim(m *manager, managerOnly bool) {
	r.Helper()
	inRedis, atManager := r.bundle(1, "redis.example.com"), r.bundle(2, "manager.example.com")
	if !managerOnly {
		r.deliver(inRedis)
		r.expect("redis.example.com", inRedis.Fingerprint)
		r.expect("REDIS.example.com", inRedis.Fingerprint)
	}
	m.set(func() { m.answers["manager.example.com"] = payload("x509_certificate__latest_single", atManager) })
	r.expect("manager.example.com", atManager.Fingerprint)
	r.expectDefault("nobody.example.com", "nobody.example.com")
	renewed := r.bundle(3, "manager.example.com")
	m.set(func() { m.answers["manager.example.com"] = payload("x509_certificate__latest_single", renewed) })
	r.expect("manager.example.com", atManager.Fingerprint)
	if status, _, body := r.answer("GET", "/x/domain/manager.example.com"); status != 200 || body["expired"] != "domain" {
		r.Errorf("expire answered %d %v", status, body)
	}
	r.expect("manager.example.com", renewed.Fingerprint)
	if n := strings.Count(r.log(), "initialize_worker was not called"); n > 1 {
		r.Errorf("warned %d times about initialize_worker", n)
	}
}

func TestAutocertOfTheShimOrdersWithoutAsking(t *testing.T) {
	m := newManager(t)
	r := start(t, settings{Plain: true, Http: "lua_shared_dict cert_cache 1m;", Serve: fmt.Sprintf(`require("resty.peter_sslers").set_ssl_certificate(nil, %q, true)`, m.URL)})
	b := r.bundle(1, "shop.example.com")
	m.set(func() { m.answers["order:shop.example.com"] = payload("certificate_signed__latest_single", b) })
	r.expect("shop.example.com", b.Fingerprint)
	if got := m.asked(); len(got) != 1 || got[0] != "POST /.well-known/peter_sslers/api/domain/autocert.json?openresty=1 domain_name=shop.example.com" {
		t.Errorf("the manager was asked %q", got)
	}
}

func TestLuaUnitsAndLint(t *testing.T) {
	for _, c := range []struct{ program, debian, args string }{{"busted", "lua-busted", ""}, {"luacheck", "lua-check", ". --no-color"}} {
		t.Run(c.program, func(t *testing.T) {
			cmd := exec.Command(trial.Program(t, c.program, c.debian), strings.Fields(c.args)...)
			cmd.Dir, cmd.Env = luaDir(t), os.Environ()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
