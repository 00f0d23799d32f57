package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/target/redis"
)

func TestWhoAmIIsPublic(t *testing.T) {
	k := edgeKit(t)
	if status, got := k.asks("GET", "/.well-known/public/whoami", "", ""); status != 200 || got != "127.0.0.1" {
		t.Errorf("whoami: %d %q", status, got)
	}
}

func TestEachRoutineAnswersItsOwnEvent(t *testing.T) {
	k := edgeKit(t)
	seen := map[any]bool{}
	for path, kind := range map[string]string{"/api/update-recents.json": "routine.update_recents", "/api/deactivate-expired.json": "routine.deactivate_expired", "/api/reconcile-cas.json": "routine.reconcile_cas"} {
		for range 2 {
			_, got := k.older(certfleet.ScopeIssue, "POST", path, nil)
			id := dig(got, "operations_event.id")
			if got["result"] != "success" || seen[id] || got["operations_event_id"] != id {
				t.Fatalf("%s: %v", path, got)
			}
			seen[id] = true
			list, _, err := k.db.Events(t.Context(), store.EventFilter{Kind: kind, Limit: 1})
			if must(t, err); len(list) != 1 || fmt.Sprint(list[0].ID) != fmt.Sprint(id) || list[0].Actor != "token:issue" {
				t.Errorf("%s answers event %v; the newest of its kind is %+v", path, id, list)
			}
		}
	}
}

func TestRoutinesWithoutEdgesSaySo(t *testing.T) {
	k := edgeKit(t)
	for _, path := range []string{"/api/redis/prime.json", "/api/nginx/cache-flush.json", "/api/nginx/status.json"} {
		if _, got := k.older(certfleet.ScopeDeliver, "POST", path, nil); got["result"] != "error" || got["error"] == nil {
			t.Errorf("%s without such a target: %v", path, got)
		}
		if _, got := k.older(certfleet.ScopeDeliver, "GET", path, nil); got["instructions"] == nil {
			t.Errorf("GET %s: %v", path, got)
		}
	}
}

// primed is a kit whose target is written whole in two questions, by run.
func primedKit(t *testing.T, end api.TargetRun) *kit {
	asked := 0
	k := edgeKit(t, func(d *Deps) {
		d.Acts.StartRun = func(_ context.Context, _ int64, what string) (api.TargetRun, error) {
			return api.TargetRun{What: what, State: "running"}, nil
		}
		d.Acts.TargetRun = func(_ int64, what string) (api.TargetRun, bool) {
			if asked++; asked < 2 {
				return api.TargetRun{What: what, State: "running"}, true
			}
			return end, true
		}
	})
	k.ok("POST", "/v1/targets", `{"label":"memory","type":"redis","spec":{"url":"redis://127.0.0.1:6379/9"}}`)
	return k
}

func TestARedisTargetIsPrimedWhole(t *testing.T) {
	t.Parallel()
	k := primedKit(t, api.TargetRun{State: "done", Names: 3, Certificates: 2})
	_, got := k.older(certfleet.ScopeDeliver, "POST", "/api/redis/prime.json", nil)
	primed, _ := dig(got, "operations_event.total_primed").(map[string]any)
	if got["result"] != "success" || len(primed) != 2 || primed["domain"] != 3.0 || primed["cert"] != 2.0 {
		t.Errorf("prime: %v", got)
	}
	list, _, err := k.db.Events(t.Context(), store.EventFilter{Kind: "routine.redis_prime", Limit: 1})
	if must(t, err); len(list) != 1 || fmt.Sprint(list[0].ID) != fmt.Sprint(dig(got, "operations_event.id")) {
		t.Errorf("its event is %+v, not %v", list, got)
	}
}

func TestAPrimeThatIsNotWholeIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, end := range []api.TargetRun{{State: "done", Certificates: 2, Failed: 1}, {State: "failed", Problem: "Redis does not answer"}} {
		k := primedKit(t, end)
		if _, got := k.older(certfleet.ScopeDeliver, "POST", "/api/redis/prime.json", nil); got["result"] != "error" || !strings.Contains(fmt.Sprint(got["error"]), "target memory") {
			t.Errorf("%+v: %v", end, got)
		}
	}
}

// nginx is a server with a module's routes, as they answer in the facts.
func nginx(t *testing.T, status int) (*httptest.Server, *[]string) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		asked = append(asked, r.RequestURI+" "+user+":"+password)
		w.WriteHeader(status)
		if strings.HasSuffix(r.URL.Path, "/all") {
			fmt.Fprint(w, `{"result":"success","expired":"all","server":"peter_sslers:openresty","server_version":"0.5.0"}`)
			return
		}
		fmt.Fprint(w, `{"result":"success","keys":{"valid":["shop.example.com"],"invalid":[],"autocert":[]},"server_version":"0.5.0"}`)
	}))
	t.Cleanup(s.Close)
	return s, &asked
}

// frontedKit is a kit with a redis target in front of which these edges are.
func frontedKit(t *testing.T, edges ...redis.Edge) *kit {
	k := edgeKit(t, func(d *Deps) {
		d.Acts.Fronted = func(*certfleet.StoredTarget) (certfleet.Fronted, error) {
			return redis.New(redis.Config{URL: "redis://127.0.0.1:1/9", Edges: edges}, dial.Deps{})
		}
	})
	k.ok("POST", "/v1/targets", `{"label":"memory","type":"redis"}`)
	return k
}

func TestEveryEdgeIsAskedForItsStatus(t *testing.T) {
	good, asked := nginx(t, 200)
	broken, _ := nginx(t, 500)
	t.Setenv("EDGE_PASSWORD", "sslers")
	k := frontedKit(t, redis.Edge{URL: good.URL, User: "peter", Password: "env:EDGE_PASSWORD"}, redis.Edge{URL: broken.URL}, redis.Edge{URL: "http://127.0.0.1:1"})
	_, got := k.older(certfleet.ScopeDeliver, "POST", "/api/nginx/status.json", nil)
	all, _ := got["servers_status"].(map[string]any)
	servers, _ := all["servers"].(map[string]any)
	one := func(url string) map[string]any { m, _ := servers[url].(map[string]any); return m }
	if got["result"] != "success" || fmt.Sprint(all["success"]) != "["+good.URL+"]" || len(servers) != 3 {
		t.Errorf("status: %v", got)
	}
	if fmt.Sprint(dig(one(good.URL), "keys.valid")) != "[shop.example.com]" || dig(one(broken.URL), "response.status_code") != 500.0 || one("http://127.0.0.1:1")["error"] != "Exception" {
		t.Errorf("each: %v", servers)
	}
	if len(*asked) != 1 || (*asked)[0] != "/.peter_sslers/nginx/shared_cache/status peter:sslers" {
		t.Errorf("the edge was asked %q", *asked)
	}
	if strings.Contains(k.log.String(), "peter:sslers") {
		t.Errorf("the password leaves")
	}
}

func TestEveryEdgeIsFlushed(t *testing.T) {
	good, asked := nginx(t, 200)
	k := frontedKit(t, redis.Edge{URL: good.URL, Path: "/ngxadmin/shared_cache/expire"})
	_, got := k.older(certfleet.ScopeDeliver, "POST", "/api/nginx/cache-flush.json", nil)
	if got["result"] != "success" || len(*asked) != 1 || (*asked)[0] != "/ngxadmin/shared_cache/expire/all :" {
		t.Errorf("flush asked %q: %v", *asked, got)
	}
	list, _, err := k.db.Events(t.Context(), store.EventFilter{Kind: "routine.nginx_cache_flush", Limit: 1})
	if must(t, err); len(list) != 1 || fmt.Sprint(list[0].ID) != fmt.Sprint(dig(got, "operations_event.id")) {
		t.Errorf("its event is %+v, not %v", list, got)
	}
}

func TestNoEdgeThatAnswersIsNoSuccess(t *testing.T) {
	k := frontedKit(t, redis.Edge{URL: "http://127.0.0.1:1"})
	for _, path := range []string{"/api/nginx/status.json", "/api/nginx/cache-flush.json"} {
		if _, got := k.older(certfleet.ScopeDeliver, "POST", path, nil); got["result"] != "error" || fmt.Sprint(dig(got, "servers_status.errors")) != "[http://127.0.0.1:1]" {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// caKit is a kit with an account that the CA answers about by said.
func caKit(t *testing.T, url, status string, said error) *kit {
	k := edgeKit(t, func(d *Deps) {
		d.Acts.CheckAccount = func(context.Context, int64) (string, string, []string, error) { return url, status, nil, said }
	})
	must(t, k.db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		ca, err := tx.AuthorityByLabel(t.Context(), certfleet.DefaultTenant, "test-ca")
		if err != nil {
			return err
		}
		return tx.AddAccount(t.Context(), &certfleet.Account{Label: "ours", AuthorityID: ca.ID, State: certfleet.AccountValid, URL: "https://ca.test/acct/1"})
	}))
	return k
}

func TestTheCAIsAskedAboutAnAccount(t *testing.T) {
	away := &certfleet.Error{Kind: certfleet.Unreachable, Msg: "the CA does not answer", Advice: "try again"}
	for _, c := range []struct {
		what, url, status string
		err               error
		good              bool
	}{
		{"valid", "https://ca.test/acct/1", "valid", nil, true},
		{"deactivated", "https://ca.test/acct/1", "deactivated", nil, false},
		{"another", "https://ca.test/acct/9", "valid", nil, false},
		{"away", "", "", away, false},
	} {
		k := caKit(t, c.url, c.status, c.err)
		for path, flag := range map[string]string{"authenticate": "is_authenticated", "check": "is_checked"} {
			status, got := k.older(certfleet.ScopeAdmin, "POST", "/acme-account/1/acme-server/"+path+".json", nil)
			if status != 200 || got[flag] != c.good || (got["result"] == "success") != c.good || (got["error"] == nil) != c.good || dig(got, "AcmeAccount.id") != 1.0 {
				t.Errorf("%s when the CA is %s: %d %v", path, c.what, status, got)
			}
		}
	}
}
