package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/demand"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/store"
)

// TestANameIsOrderedWhileAnEdgeWaits is a handshake's way from an unknown name
// to its pair, over the routes that older edges use.
func TestANameIsOrderedWhileAnEdgeWaits(t *testing.T) {
	t.Parallel()
	f := start(t, pebble.Options{})
	f.Config.Listen.Edge = addr(porttest.Port(t))
	f.Config.Edge.Trusted = config.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}
	f.Demand.Rules = &demand.Rules{Patterns: []*regexp.Regexp{regexp.MustCompile(`^[a-z]+\.certfleet\.test$`)}, Wait: 20 * time.Second}
	f.run(t)
	base := "http://" + f.Addr("edge")
	ask := func(method, path, form string) (int, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		var answer map[string]any
		_ = json.Unmarshal(b, &answer) // what is no JSON has no fields
		return res.StatusCode, answer
	}
	if res, err := http.Get(base + "/.well-known/public/whoami"); err != nil || res.StatusCode != http.StatusOK || res.Header.Get("X-Peter-SSLers") == "" {
		t.Errorf("whoami where edges ask: %v %v", res, err)
	} else {
		res.Body.Close()
	}
	if status, _ := ask("GET", config.DefaultEdgePrefix+"/acme-accounts", ""); status != http.StatusNotFound {
		t.Errorf("accounts where edges ask: %d", status)
	}
	const lookup, order = config.DefaultEdgePrefix + "/domain/shop.certfleet.test/config.json", config.DefaultEdgePrefix + "/api/domain/autocert.json?openresty=1"
	if status, _ := ask("GET", lookup, ""); status != http.StatusNotFound {
		t.Fatalf("an unknown name: %d", status)
	}
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			status, got := ask("POST", order, "domain_name=shop.certfleet.test")
			if status != http.StatusOK || got["result"] != "success" || got["x509_certificate__latest_single"] == nil {
				t.Errorf("%d %v", status, got)
			}
		})
	}
	crowd.Wait()
	if status, got := ask("GET", lookup, ""); status != http.StatusOK || got["certificate_signed__latest_single"] == nil {
		t.Errorf("the lookup afterwards: %d %v", status, got)
	}
	if _, got := ask("POST", order, "domain_name=bogus.example.com"); got["form_errors"] == nil {
		t.Errorf("a name that no rule allows: %v", got)
	}
	orders, _, err := f.DB.Orders(t.Context(), store.OrderFilter{})
	if err != nil || len(orders) != 1 {
		t.Errorf("%d orders, %v; want 1", len(orders), err)
	}
	for _, path := range []string{"/v1/certificates", "/metrics", "/docs"} {
		if status, _ := ask("GET", path, ""); status != http.StatusNotFound {
			t.Errorf("the edge listener shows %s: %d", path, status)
		}
	}
}
