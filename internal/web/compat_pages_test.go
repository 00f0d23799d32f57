package web

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/web/compat"
)

// browse asks for a page as a browser does.
func (k *kit) browse(scope certfleet.Scope, path string) (*http.Response, string) {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), "GET", k.url+compat.Prefix+path, nil)
	must(k.t, err)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if scope != "" {
		req.SetBasicAuth("browser", k.tokens[scope])
	}
	res, err := http.DefaultClient.Do(req)
	must(k.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(k.t, err)
	return res, string(b)
}

// furnished is a kit with one of everything that pages show. What a CA said is
// hostile.
func furnished(t *testing.T) *kit {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com", "www.shop.example.com")
	k.ok("POST", "/v1/accounts", `{"authority":"test-ca","later":true,"contact":["tls@example.com"]}`)
	k.ok("POST", "/v1/factories", `{"label":"customers","domain_template_http01":["{DOMAIN}"]}`)
	must(t, k.db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		ctx := context.Background()
		c, err := tx.CertificateByLabel(ctx, certfleet.DefaultTenant, "shop.example.com")
		if err != nil {
			return err
		}
		a, err := tx.AccountAt(ctx, certfleet.DefaultTenant, 1)
		if err != nil {
			return err
		}
		c.Problem = `<script>alert("1")</script>`
		if err := tx.SaveCertificate(ctx, c); err != nil {
			return err
		}
		o := &certfleet.Order{CertificateID: c.ID, AccountID: a.ID, AuthorityID: 1, Names: c.Names}
		if err := tx.AddOrder(ctx, o); err != nil {
			return err
		}
		o.State, o.Problem, o.FinishedAt = certfleet.OrderFailed, `"><img src=x onerror=alert(2)>`, tx.Now()
		return tx.SaveOrder(ctx, o)
	}))
	return k
}

func TestABrowserSeesPages(t *testing.T) {
	k := furnished(t)
	for path, want := range map[string][]string{
		"":                             {"renewal-configurations", `<a href="/.well-known/peter_sslers/acme-order/new/freeform">acme-order/new/freeform</a>`},
		"/":                            {"renewal-configurations"},
		"/acme-accounts":               {`<a href="/.well-known/peter_sslers/acme-account/1">1</a>`, "tls@example.com", "test-ca"},
		"/acme-account/1":              {`<a href="/.well-known/peter_sslers/acme-account/1/acme-server/key-change">`, "tls@example.com", "certfleet accounts check 1", "/acme-account/1.json"},
		"/acme-servers":                {"https://ca.test/dir"},
		"/acme-orders":                 {`<a href="/.well-known/peter_sslers/acme-order/1">1</a>`, "&lt;img src=x"},
		"/acme-orders/finished":        {"&lt;img src=x"},
		"/acme-order/1":                {"certfleet orders show 1", "&lt;img src=x", `<a href="/.well-known/peter_sslers/renewal-configuration/1">1</a>`},
		"/renewal-configurations":      {"shop.example.com", "&lt;script&gt;"},
		"/renewal-configuration/1":     {"&lt;script&gt;", "certfleet renew 1", `<a href="/.well-known/peter_sslers/x509-certificate/1">1</a>`},
		"/x509-certificates":           {"www.shop.example.com", `<a href="/.well-known/peter_sslers/x509-certificate/1">1</a>`},
		"/x509-certificates/active":    {"www.shop.example.com"},
		"/x509-certificate/1":          {"-----BEGIN CERTIFICATE-----", "x509-certificate/1/fullchain.pem.txt", "certfleet versions show 1"},
		"/domains":                     {`<a href="/.well-known/peter_sslers/domain/1">1</a>`},
		"/domain/1":                    {"certfleet why &#39;shop.example.com&#39;"},
		"/domain/www.shop.example.com": {"certfleet why &#39;www.shop.example.com&#39;"},
		"/enrollment-factorys":         {"customers"},
		"/acme-account/1/edit":         {"What is left out stays.", "account_weekly", "curl --user"},
		"/enrollment-factory/1":        {"certfleet onboard 1 DOMAIN"},
	} {
		res, got := k.browse(certfleet.ScopeRead, path)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") || res.Header.Get("Vary") != "Accept" {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s has no %s:\n%s", path, w, got)
			}
		}
		form := strings.Contains(got, `<form method="post" action="/.well-known/peter_sslers`+path+`">`)
		if csp := res.Header.Get("Content-Security-Policy"); form != (path == "/acme-account/1/edit") || strings.Contains(csp, "form-action 'self'") != form {
			t.Errorf("%s has a form: %v, and %s", path, form, csp)
		}
		for _, bad := range []string{"<script", "<img", "PRIVATE KEY", "//cdn", "%!", "map["} {
			if strings.Contains(got, bad) {
				t.Errorf("%s has %s:\n%s", path, bad, got)
			}
		}
	}
}

func TestAPageSaysWhatIsWrong(t *testing.T) {
	k := furnished(t)
	for _, c := range []struct {
		scope  certfleet.Scope
		path   string
		status int
		says   string
	}{
		{"", "/acme-accounts", 401, "this needs a token"}, {certfleet.ScopeEdge, "/acme-accounts", 403, "scope read"},
		{certfleet.ScopeRead, "/acme-account/99", 404, "there is no account"}, {certfleet.ScopeRead, "/acme-order/%3Cscript%3E", 404, "acme-order/&lt;script&gt;"},
		{certfleet.ScopeRead, "/domains/%22%3E%3Cb%3E", 404, "not found"},
	} {
		res, got := k.browse(c.scope, c.path)
		if res.StatusCode != c.status || !strings.Contains(got, c.says) || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || strings.Contains(got, "<b>") || strings.Contains(got, "<script") {
			t.Errorf("%s: %d %s", c.path, res.StatusCode, got)
		}
		if c.status == 401 && res.Header.Get("WWW-Authenticate") == "" {
			t.Error("a browser is not asked for a password")
		}
	}
}

func TestProgramsGoOnGettingJSON(t *testing.T) {
	k := furnished(t)
	for _, path := range []string{"/acme-accounts", "/acme-account/1", ""} {
		if status, got := k.older(certfleet.ScopeRead, "GET", path, nil); status != 200 || len(got) == 0 {
			t.Errorf("%q without Accept: %d %v", path, status, got)
		}
	}
	if res, _ := k.browse(certfleet.ScopeRead, "/acme-accounts.json"); res.Header.Get("Content-Type") != "application/json" {
		t.Errorf(".json is %s", res.Header.Get("Content-Type"))
	}
}

func TestPagesOfAListLeadOn(t *testing.T) {
	k := edgeKit(t)
	for _, n := range []string{"a", "b"} {
		names := make([]string, 30)
		for i := range names {
			names[i] = strings.Repeat(n, i+1) + ".example.com"
		}
		k.ok("POST", "/v1/certificates", body(t, map[string]any{"names": names, "label": n}))
	}
	if _, got := k.browse(certfleet.ScopeRead, "/domains"); !strings.Contains(got, `href="/.well-known/peter_sslers/domains/2"`) || strings.Contains(got, "page before") {
		t.Errorf("the first page leads nowhere:\n%s", got)
	}
	if _, got := k.browse(certfleet.ScopeRead, "/domains/2"); !strings.Contains(got, `href="/.well-known/peter_sslers/domains/1"`) || strings.Contains(got, "next page") || !strings.Contains(got, ".example.com") {
		t.Errorf("the second page:\n%s", got)
	}
}

// TestPagesNameCommandsThatAreThere reads the help that the command prints.
func TestPagesNameCommandsThatAreThere(t *testing.T) {
	help, err := os.ReadFile("../cli/testdata/help.txt")
	must(t, err)
	lines := compat.Lines()
	if len(lines) < 20 {
		t.Fatalf("only %d lines", len(lines))
	}
	for _, l := range lines {
		words := regexp.MustCompile(`^certfleet( [a-z]+)+`).FindString(l)
		if words == "" || !regexp.MustCompile(`(?m)^  `+words+`( [A-Z\[]|$)`).Match(help) {
			t.Errorf("%q is no command", l)
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(l, -1) {
			if !strings.Contains(string(help), flag) {
				t.Errorf("%q has no flag %s", l, flag)
			}
		}
	}
}
