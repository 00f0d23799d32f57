package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
