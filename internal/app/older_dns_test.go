package app_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// acmednsScripts are scripts of a manager with a solver that registers at an
// acme-dns API, which counts.
func acmednsScripts(t *testing.T) (*scripts, *app.App, *atomic.Int64) {
	var n atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" && n.Load() < 2 {
			return
		}
		if r.URL.Path != "/register" || r.Method != "POST" || n.Load() == 2 {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]any{"username": "u", "password": "hush-hush", "subdomain": fmt.Sprint("s", n.Add(1)), "fulldomain": fmt.Sprintf("s%d.auth.example.org", n.Load()), "allowfrom": []string{}})
	}))
	t.Cleanup(api.Close)
	key, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	section, err := config.NewSection("dns", "acmedns", []byte(`{"server": "`+api.URL+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.StateDir, c.Solvers = storetest.Dir(t), config.Sections{section}
	c.Outbound.Allow = config.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}
	c.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	a, err := app.New(t.Context(), c, app.Options{Log: testLog(t), Keeper: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return &scripts{t: t, http: &http.Client{Transport: a.Offline("user:scripts"), Timeout: time.Minute}}, a, &n
}

func TestScriptsGiveDomainsAccountsAtACMEDNS(t *testing.T) {
	s, a, registered := acmednsScripts(t)
	if got := s.send("GET", "/acme-dns-servers.json", ""); fmt.Sprint(field(got, "pagination.total_items")) != "1" {
		t.Fatalf("servers: %v", got)
	}
	for range 2 {
		got := s.post("success", "/acme-dns-server/1/ensure-domains.json", "domain_names=shop.example.com,blog.example.com")
		matrix, _ := got["result_matrix"].(map[string]any)
		shop, _ := matrix["shop.example.com"].(map[string]any)
		if len(matrix) != 2 || field(shop, "AcmeDnsServerAccount.cname_source") != "_acme-challenge.shop.example.com." || !strings.HasSuffix(fmt.Sprint(field(shop, "AcmeDnsServerAccount.cname_target")), ".auth.example.org.") || field(shop, "Domain.domain_name") != "shop.example.com" {
			t.Errorf("ensured: %v", got)
		}
	}
	if got := s.post("error", "/acme-dns-server/1/ensure-domains.json", "domain_names=shop.example.com,third.example.com"); !strings.HasPrefix(fmt.Sprint(got["error"]), "third.example.com: ") {
		t.Errorf("refused by the server: %v", got)
	}
	if registered.Load() != 2 {
		t.Errorf("%d accounts were registered; asked again, none is", registered.Load())
	}
	got := s.post("success", "/acme-dns-server/dns/import-domain.json", "domain_name=old.example.com&username=u&password=hush-hush&fulldomain=x.auth.example.org&subdomain=x&allowfrom=[]")
	if !strings.Contains(fmt.Sprint(got), "x.auth.example.org") {
		t.Errorf("imported: %v", got)
	}
	s.post("error", "/acme-dns-server/dns/import-domain.json", "domain_name=old.example.com&username=u&password=hush-hush&fulldomain=y.auth.example.org&subdomain=y")
	s.post("error", "/acme-dns-server/dns/import-domain.json", "domain_name=a_b&username=u&password=hush-hush&fulldomain=y.auth.example.org&subdomain=y")
	s.post("error", "/acme-dns-server/dns/import-domain.json", "domain_name=c.example.com&username=u")
	s.post("error", "/acme-dns-server/dns/import-domain.json", "domain_name=c.example.com&username=u%0d%0aX-Evil:1&password=hush-hush&fulldomain=y.auth.example.org&subdomain=y")
	s.post("error", "/acme-dns-server/dns/import-domain.json", "domain_name=c.example.com&username=u&password=hush%20hush&fulldomain=y.auth.example.org&subdomain=y")
	s.post("error", "/acme-dns-server/dns/import-domain.json", "domain_name=c.example.com&username=u&password=hush-hush&fulldomain=y..org&subdomain=y")
	s.post("error", "/acme-dns-server/1/ensure-domains.json", "domain_names=")
	s.post("error", "/acme-dns-server/1/ensure-domains.json", "domain_names=192.0.2.1") // an address has no account
	s.post("error", "/acme-dns-server/1/ensure-domains.json", "domain_names="+strings.Repeat("a.example.com,", 101))
	list := s.send("GET", "/acme-dns-server/1/acme-dns-server-accounts.json", "")
	accounts, _ := list["AcmeDnsServerAccounts"].([]any)
	if len(accounts) != 3 || strings.Contains(fmt.Sprint(list, got), "hush") {
		t.Errorf("listed: %v", list)
	}
	if got := s.send("GET", "/acme-dns-server/7.json", ""); got["message"] == nil {
		t.Errorf("none: %v", got)
	}
	events, _, err := a.DB.Events(t.Context(), store.EventFilter{Kind: "acmedns.account"})
	if err != nil || len(events) != 3 {
		t.Errorf("events %+v, %v", events, err)
	}
}

func TestScriptsAskAboutTheirACMEDNSServer(t *testing.T) {
	s, _, registered := acmednsScripts(t)
	s.post("success", "/acme-dns-server/1/check.json", "")
	server := field(s.send("GET", "/acme-dns-server/1.json", ""), "AcmeDnsServer.api_url")
	s.post("success", "/acme-dns-server/new.json", "api_url="+url.QueryEscape(fmt.Sprint(server)+"/"))
	s.post("error", "/acme-dns-server/new.json", "api_url=https://other.example.org")
	s.post("error", "/acme-dns-server/new.json", "")
	s.post("success", "/acme-dns-server/1/edit.json", "api_url="+url.QueryEscape(fmt.Sprint(server)))
	s.post("error", "/acme-dns-server/1/edit.json", "api_url=https://other.example.org")
	for action, result := range map[string]string{"active": "success", "global_default": "success", "inactive": "error", "": "error"} {
		s.post(result, "/acme-dns-server/1/mark.json", "action="+action)
	}
	s.post("success", "/domain/shop.example.com/acme-dns-server/new.json", "acme_dns_server_id=1")
	s.post("error", "/domain/shop.example.com/acme-dns-server/new.json", "acme_dns_server_id=9")
	s.post("success", "/acme-dns-server/1/ensure-domains.json", "domain_names=blog.example.com")
	if registered.Load() != 2 {
		t.Fatalf("%d accounts were registered", registered.Load())
	}
	if got := s.post("error", "/acme-dns-server/1/check.json", ""); got["health"] != false { // it is ill by now
		t.Errorf("check: %v", got)
	}
	list := s.send("GET", "/acme-dns-server-accounts.json", "")
	accounts, _ := list["AcmeDnsServerAccounts"].([]any)
	if len(accounts) != 2 {
		t.Fatalf("accounts: %v", list)
	}
	for _, one := range accounts {
		id, _ := one.(map[string]any)["id"].(float64)
		name := fmt.Sprint(field(one.(map[string]any), "Domain.domain_name"))
		if id != math.Trunc(id) || id < 1 || id > 1<<53 {
			t.Errorf("the id %v is no number for every program", id)
		}
		for _, path := range []string{fmt.Sprintf("/acme-dns-server-account/%.0f.json", id), "/acme-dns-server-account/" + name} {
			if got := s.send("GET", path, ""); field(got, "AcmeDnsServerAccount.Domain.domain_name") != name {
				t.Errorf("%s: %v", path, got)
			}
		}
		got := s.send("GET", fmt.Sprintf("/acme-dns-server/1/ensure-domains-results?acme-dns-server-accounts=%.0f", id), "")
		if matrix, _ := got["result_matrix"].(map[string]any); len(matrix) != 1 || matrix[name] == nil {
			t.Errorf("results: %v", got)
		}
	}
	if got := s.send("GET", "/domain/shop.example.com/acme-dns-server-accounts.json", ""); fmt.Sprint(field(got, "pagination.total_items")) != "1" {
		t.Errorf("of a domain: %v", got)
	}
	if got := s.post("error", "/acme-dns-server-account/shop.example.com/audit.json", ""); field(got, "audit.problem") == nil { // nobody set its CNAME
		t.Errorf("audit: %v", got)
	}
	s.post("success", "/acme-dns-server/1/acme-dns-server-accounts/all.json", "")
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://certfleet/.well-known/peter_sslers/acme-dns-server-accounts/all.csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	table, err := csv.NewReader(res.Body).ReadAll()
	if err != nil || len(table) != 3 || strings.Join(table[0], " ") != "id username password cname_source cname_target" || table[1][3] != "_acme-challenge.blog.example.com." || table[1][2] != "" {
		t.Errorf("csv: %q, %v", table, err)
	}
}
