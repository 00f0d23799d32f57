package web

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/web/compat"
)

// hostileIDs are what strangers put where an id belongs.
var hostileIDs = []string{"0", "-1", "99999999999999999999", "1.5", "1e3", "0x1", "x", "..", "%2e%2e", "...json", "..json", ".json", "%00", "%ff", "1%0d%0aX-Evil:%201", "%0a", "a%2F..%2F..%2Ftokens", "..%2F..%2Fv1%2Ftokens", "%3Cscript%3E", "'%20or%201=1", strings.Repeat("9", 3000)}

// send asks with a body as it is, and answers the whole response.
func (k *kit) send(method, path, token, media, body string) (*http.Response, string) {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), method, k.url+path, strings.NewReader(body))
	must(k.t, err)
	if token != "" {
		req.SetBasicAuth("x", token)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 30 * time.Second}).Do(req)
	must(k.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(k.t, err)
	return res, string(b)
}

// harmless says what is wrong with an answer to a hostile request, empty for nothing.
func harmless(k *kit, res *http.Response, got string) string {
	switch {
	case res.StatusCode >= 500 && res.StatusCode != http.StatusServiceUnavailable:
		return "it fails inside: " + k.log.String()
	case res.Header.Get("X-Evil") != "":
		return "a header was injected"
	case strings.Contains(got, "PRIVATE KEY"):
		return "a key leaves"
	case strings.Contains(res.Header.Get("Content-Type"), "json") && !json.Valid([]byte(got)):
		return "it is no JSON"
	}
	return ""
}

func TestHostileIDsFindNothing(t *testing.T) {
	k := furnished(t)
	for _, route := range []string{"/acme-account/{id}", "/acme-order/{id}", "/renewal-configuration/{id}", "/x509-certificate/{id}", "/x509-certificate/{id}/cert.pem", "/x509-certificate/{id}/config.json", "/x509-certificate/1/{id}",
		"/x509-certificate/1/via-certificate-trust-chain/{id}/config.zip", "/domain/{id}", "/domain/{id}/config.json", "/enrollment-factory/{id}", "/acme-dns-server/{id}", "/acme-dns-server/{id}/acme-dns-server-accounts", "/acme-orders/{id}", "/domains/{id}",
		"/acme-server/{id}", "/acme-server/{id}/acme-accounts", "/acme-order/{id}/audit", "/acme-account/{id}/acme-orders", "/renewal-configuration/{id}/acme-orders", "/renewal-configuration/{id}/x509-certificates", "/enrollment-factory/{id}/domains", "/enrollment-factory/{id}/x509-certificates",
		"/domain/{id}/calendar", "/domain/{id}/x509-certificates", "/domain/{id}/renewal-configurations/multi", "/acme-authorization/{id}", "/acme-dns-server-account/{id}", "/private-key/{id}", "/private-key/{id}/x509-certificates", "/system-configuration/{id}", "/x509-certificate/{id}/parse.json", "/x509-certificate/{id}/ari-check-history"} {
		for _, id := range hostileIDs {
			path := compat.Prefix + strings.ReplaceAll(route, "{id}", id)
			res, got := k.send("GET", path, k.tokens[certfleet.ScopeAdmin], "", "")
			found := res.StatusCode == 200 && !strings.HasSuffix(route, "s/{id}") // a page of a list is empty
			redirected := res.StatusCode/100 == 3                                 // the mux tidied the path up
			if problem := harmless(k, res, got); problem != "" || found {
				t.Errorf("%s: %d %.300s %s", path, res.StatusCode, got, problem)
			}
			if redirected && !strings.HasPrefix(res.Header.Get("Location"), "/.well-known/") {
				t.Errorf("%s leads to %s", path, res.Header.Get("Location"))
			}
		}
	}
}

func TestHostileFormsAreRefused(t *testing.T) {
	t.Parallel()
	k := furnished(t)
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	forms := map[string][2]string{
		"nothing":        {"", ""},
		"json":           {"application/json", `{"action":"active"}`},
		"broken":         {"application/x-www-form-urlencoded", "a=%zz&%"},
		"semicolons":     {"", "a;b;c"},
		"null":           {"", "label=a%00b&domain_name=a%00.example.com&action=%00&account__name=%00&acme_server_id=1&processing_strategy=create_order&domain_names_http01=a%00b.example.com"},
		"no utf-8":       {"", "label=%ff%fe&action=%ff&domain=%ff&domain_name=%ff.example.com"},
		"lines":          {"", "label=a%0d%0ab&processing_strategy=create_order&domain_names_http01=lines.example.com&account__name=a%0d%0ab&acme_server_id=1&name=a%0ab&action=active%0d%0a%0d%0aHTTP/1.1"},
		"escape":         {"", "note=%1b%5b2J&domain_name=esc.example.com&label=%1b%5b2J&domain_names_http01=esc.example.com&processing_strategy=create_order"},
		"huge":           {"", "a=" + many(2<<20, "x")},
		"many fields":    {"", many(200_000, "a=1&")},
		"many names":     {"", "processing_strategy=create_order&domain_names_http01=" + many(40_000, "a.example.com,") + "&domain_names_dns01=" + many(20_000, "b.example.com,") + "&domain_names=" + many(5, "c.example.com,")},
		"many ids":       {"", many(30_000, "acme_authorization_id=1&")},
		"no boundary":    {"multipart/form-data", "x"},
		"cut":            {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"action\"\r\n\r\nactive"},
		"many parts":     {"multipart/form-data; boundary=x", many(8_000, "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n") + "--x--"},
		"empty boundary": {"multipart/form-data; boundary=", "x"},
	}
	for what, f := range forms {
		began := time.Now()
		for _, route := range posts(t) {
			path := compat.Prefix + strings.NewReplacer("{id}", "99", "{domain}", "shop.example.com").Replace(route)
			res, got := k.send("POST", path, k.tokens[certfleet.ScopeAdmin], f[0], f[1])
			if problem := harmless(k, res, got); problem != "" {
				t.Errorf("%s with %s: %d %.300s %s", path, what, res.StatusCode, got, problem)
			}
		}
		if took := time.Since(began); took > trial.Patience {
			t.Errorf("%s took %s", what, took)
		}
	}
	var made struct{ Items []struct{ Label string } }
	k.ok("GET", "/v1/certificates", "").into(t, &made)
	if len(made.Items) != 1 {
		t.Errorf("refused forms left certificates: %+v", made.Items)
	}
	var accounts struct{ Items []struct{ Label string } }
	k.ok("GET", "/v1/accounts", "").into(t, &accounts)
	if len(accounts.Items) != 1 {
		t.Errorf("refused forms left accounts: %+v", accounts.Items)
	}
}

// TestEveryPostNeedsItsScope walks all of them: none is open to edges or readers
// but those that only look.
func TestEveryPostNeedsItsScope(t *testing.T) {
	k := furnished(t)
	looks := map[string]certfleet.Scope{"/domains/search.json": certfleet.ScopeRead, "/x509-certificates/search.json": certfleet.ScopeRead, "/enrollment-factory/{id}/query.json": certfleet.ScopeRead, "/api/domain/autocert.json": certfleet.ScopeEdge,
		"/acme-dns-server-accounts/all.json": certfleet.ScopeRead, "/acme-dns-server/{id}/acme-dns-server-accounts/all.json": certfleet.ScopeRead}
	for _, route := range posts(t) {
		for _, path := range []string{route, strings.TrimSuffix(route, ".json")} {
			path = compat.Prefix + strings.NewReplacer("{id}", "1", "{domain}", "shop.example.com").Replace(path)
			if res, _ := k.send("POST", path, "", "", ""); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s without a token: %d", path, res.StatusCode)
			}
			for _, scope := range []certfleet.Scope{certfleet.ScopeEdge, certfleet.ScopeRead} {
				want := http.StatusForbidden
				if looks[route] == scope {
					want = http.StatusOK
				}
				if res, got := k.send("POST", path, k.tokens[scope], "", ""); res.StatusCode != want {
					t.Errorf("%s with scope %s: %d %s", path, scope, res.StatusCode, got)
				}
			}
		}
	}
}

func TestAnotherSitesPageCannotPost(t *testing.T) {
	k := furnished(t)
	for header, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", k.url+compat.Prefix+"/renewal-configuration/1/mark.json", strings.NewReader("action=active"))
		must(t, err)
		req.SetBasicAuth("x", k.tokens[certfleet.ScopeAdmin])
		req.Header.Set(header, value)
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s may post: %d", header, value, res.StatusCode)
		}
	}
	_, got := k.older(certfleet.ScopeRead, "GET", "/renewal-configuration/1.json", nil)
	if dig(got, "RenewalConfiguration.is_active") != false {
		t.Errorf("it was marked: %v", fmt.Sprint(got))
	}
}

func TestAFieldThatIsGivenTwice(t *testing.T) {
	k := furnished(t)
	for _, c := range []struct{ path, form, says string }{
		{"/renewal-configuration/1/mark.json", "action=active&action=inactive", "a field twice"},
		{"/renewal-configuration/1/mark.json", "action=inactive&action=&action=inactive", `"result":"success"`},
		{"/api/domain/certificate-if-needed.json", "processing_strategy=process_single&domain_name=a.example.com&domain_name=b.example.com", "only 1 domain name"},
		{"/renewal-configuration/new.json", "domain_names_http01=a.example.com&domain_names_http01=b.example.com,c.example.com", `"http-01":["a.example.com","b.example.com","c.example.com"]`},
	} {
		if _, got := k.send("POST", compat.Prefix+c.path, k.tokens[certfleet.ScopeAdmin], "", c.form); !strings.Contains(got, c.says) {
			t.Errorf("%s: %s", c.form, got)
		}
	}
}

func TestWhatIsNotThereHasAMessage(t *testing.T) {
	k := furnished(t)
	for _, c := range [][2]string{{"GET", "/nothing.json"}, {"PUT", "/acme-account/1.json"}, {"DELETE", "/x509-certificate/1"}, {"OPTIONS", "/domains.json"}, {"POST", "/acme-accounts.json"}, {"GET", "/acme-accounts/"}, {"GET", "/x509-certificate/1.json/"},
		{"GET", "/x509-certificates/0.json"}, {"GET", "/x509-certificates/-1"}} {
		for _, prefix := range []string{compat.Prefix, compat.OldPrefix} {
			res, got := k.send(c[0], prefix+c[1], k.tokens[certfleet.ScopeAdmin], "", "")
			var said map[string]string
			if err := json.Unmarshal([]byte(got), &said); err != nil || res.StatusCode != http.StatusNotFound || said["message"] == "" || res.Header.Get("X-Peter-SSLers") == "" {
				t.Errorf("%s %s%s: %d %s", c[0], prefix, c[1], res.StatusCode, got)
			}
		}
	}
}
