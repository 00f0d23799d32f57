package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/target/redis"
)

// rows is how many objects a list of an answer has.
func rows(o map[string]any, key string) int {
	switch x := o[key].(type) {
	case []any:
		return len(x)
	case map[string]any:
		return len(x)
	}
	return -1
}

func TestListsBelowAnObject(t *testing.T) {
	k := furnished(t)
	k.hold(90*day, "shop.example.com")
	k.ok("POST", "/v1/factories/customers/onboard", `{"domains":["customer.example.org"]}`)
	for path, want := range map[string]string{
		"/renewal-configuration/1/acme-orders": "AcmeOrders 1", "/renewal-configuration/1/x509-certificates": "X509Certificates 2", "/renewal-configuration/2/acme-orders": "AcmeOrders 0",
		"/acme-account/1/acme-orders":                  "AcmeOrders 1",
		"/acme-server/1/acme-accounts":                 "AcmeAccounts 1",
		"/enrollment-factory/1/renewal-configurations": "RenewalConfigurations 1", "/enrollment-factory/1/x509-certificates": "X509Certificates 0", "/enrollment-factory/1/domains": "Domains 1",
		"/domain/shop.example.com/renewal-configurations": "RenewalConfigurations 1", "/domain/shop.example.com/renewal-configurations/multi": "RenewalConfigurations 0",
		"/domain/shop.example.com/x509-certificates": "X509Certificates 1", "/domain/shop.example.com/x509-certificates/single": "X509Certificates 1", "/domain/shop.example.com/x509-certificates/multi": "X509Certificates 0",
		"/domain/www.shop.example.com/x509-certificates/all": "X509Certificates 0", "/private-key/1/x509-certificates": "X509Certificates 1",
		"/private-keys": "PrivateKeys 2", "/acme-authorizations": "AcmeAuthorizations 0", "/acme-challenges": "AcmeChallenges 0", "/system-configurations": "SystemConfigurations 3",
		"/x509-certificates/active-duplicates": "X509CertificatesPairs 0",
	} {
		key, n, _ := strings.Cut(want, " ")
		for _, path := range []string{path, path + ".json", path + "/1.json"} {
			status, got := k.older(certfleet.ScopeRead, "GET", path, nil)
			if status != 200 || fmt.Sprint(rows(got, key)) != n || dig(got, "pagination.page") != 1.0 {
				t.Errorf("%s: %d, not %s: %v", path, status, want, got)
			}
		}
	}
	for _, path := range []string{"/renewal-configuration/99/acme-orders", "/acme-account/99/acme-orders", "/acme-server/99", "/acme-server/99/acme-accounts", "/enrollment-factory/99/domains", "/domain/nobody.example.com/x509-certificates",
		"/domain/99/calendar", "/private-key/99", "/acme-authorization/99", "/system-configuration/4", "/acme-orders/99/audit", "/acme-authorizations?status=odd"} {
		if status, got := k.older(certfleet.ScopeRead, "GET", path, nil); status != http.StatusNotFound || got["message"] == nil && path != "/acme-orders/99/audit" {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
}

func TestACalendarCountsWeeks(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	if _, got := k.older(certfleet.ScopeRead, "GET", "/domain/shop.example.com/calendar.json", nil); rows(got, "issues") != 0 {
		t.Errorf("what was imported was not issued by an order: %v", got)
	}
	v, err := k.db.Version(t.Context(), 1)
	must(t, err)
	v.ID, v.Origin, v.Fingerprint, v.Serial = 0, "issued", strings.Repeat("ab", 32), "7"
	must(t, k.db.Tx(t.Context(), time.Date(2027, 1, 3, 12, 0, 0, 0, time.UTC), func(tx *store.Tx) error { return tx.AddVersion(t.Context(), v, nil) }))
	for _, path := range []string{"/domain/shop.example.com/calendar.json", "/domain/1/calendar"} {
		if _, got := k.older(certfleet.ScopeRead, "GET", path, nil); dig(got, "issues") == nil || got["issues"].(map[string]any)["2026.53"] != 1.0 {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestOneNameIsExpiredAtTheEdges(t *testing.T) {
	good, asked := nginx(t, 200)
	k := frontedKit(t, redis.Edge{URL: good.URL})
	k.hold(90*day, "shop.example.com", "www.shop.example.com")
	_, got := k.older(certfleet.ScopeDeliver, "POST", "/domain/shop.example.com/nginx-cache-expire.json", nil)
	// The server says 0.5.0, which keeps single names: it is flushed.
	if fmt.Sprint(*asked) != "[/.peter_sslers/nginx/shared_cache/expire/domain/shop.example.com : /.peter_sslers/nginx/shared_cache/expire/all :]" {
		t.Errorf("asked %q", *asked)
	}
	if got["result"] != "success" || fmt.Sprint(dig(got, "operations_event.event_payload.domain_ids.success")) != "[1]" {
		t.Errorf("one name: %v", got)
	}
	if _, got = k.older(certfleet.ScopeDeliver, "POST", "/x509-certificate/1/nginx-cache-expire.json", nil); fmt.Sprint(dig(got, "operations_event.event_payload.domain_ids.success")) != "[1 2]" {
		t.Errorf("a certificate: %v", got)
	}
	list, _, err := k.db.Events(t.Context(), store.EventFilter{Kind: "routine.nginx_cache_expire", Limit: 5})
	if must(t, err); len(list) != 2 {
		t.Errorf("its events are %+v", list)
	}
	if status, _ := k.older(certfleet.ScopeDeliver, "POST", "/domain/not%20a%20name/nginx-cache-expire.json", nil); status != http.StatusNotFound {
		t.Errorf("of no name: %d", status)
	}
	if k.ok("POST", "/v1/targets/memory/edges/flush?name=shop.example.com", ""); len(*asked) != 6 {
		t.Errorf("by the API: %q", *asked)
	}
	away := frontedKit(t, redis.Edge{URL: "http://127.0.0.1:1"})
	away.hold(90*day, "shop.example.com")
	if _, got := away.older(certfleet.ScopeDeliver, "POST", "/domain/1/nginx-cache-expire.json", nil); got["result"] != "error" || fmt.Sprint(dig(got, "operations_event.event_payload.domain_ids.failure")) != "[1]" {
		t.Errorf("an edge that is away: %v", got)
	}
}

func TestAServerIsAskedWhatItSupports(t *testing.T) {
	var said error
	k := edgeKit(t, func(d *Deps) {
		d.Acts.Directory = func(context.Context, int64) (api.Directory, error) {
			return api.Directory{Profiles: map[string]string{"shortlived": "", "classic": ""}, RenewalInfo: true}, said
		}
	})
	_, got := k.older(certfleet.ScopeAdmin, "POST", "/acme-server/1/check-support.json", nil)
	if got["result"] != "success" || dig(got, "AcmeServer.profiles") != "classic,shortlived" || dig(got, "AcmeServer.is_supports_ari__version") != "RFC 9773" {
		t.Errorf("asked: %v", got)
	}
	said = &certfleet.Error{Kind: certfleet.Unreachable, Msg: "the CA does not answer"}
	if _, got = k.older(certfleet.ScopeAdmin, "POST", "/acme-server/1/check-support.json", nil); got["result"] != "error" || got["error"] != "the CA does not answer" {
		t.Errorf("away: %v", got)
	}
	for action, result := range map[string]string{"is_enabled": "success", "is_unlimited_pending_authz-true": "error", "": "error"} {
		if _, got := k.older(certfleet.ScopeAdmin, "POST", "/acme-server/1/mark.json", url.Values{"action": {action}}); got["result"] != result {
			t.Errorf("mark %q: %v", action, got)
		}
	}
}

func TestASystemConfigurationIsADefaultPolicy(t *testing.T) {
	k := caKit(t, "", "", nil)
	_, got := k.older(certfleet.ScopeRead, "GET", "/system-configuration/global.json", nil)
	if dig(got, "SystemConfiguration.is_configured") != false || dig(got, "SystemConfiguration.acme_account_id__primary") != 1.0 {
		t.Errorf("before: %v", got)
	}
	if _, got = k.older(certfleet.ScopeAdmin, "POST", "/system-configuration/global/edit.json", nil); dig(got, "form_errors.acme_account_id__primary") == nil {
		t.Errorf("without an account: %v", got)
	}
	_, got = k.older(certfleet.ScopeAdmin, "POST", "/system-configuration/2/edit.json", url.Values{"acme_account_id__primary": {"1"}, "private_key_technology__primary": {"RSA_2048"}, "private_key_cycle__primary": {"account_weekly"}})
	if got["result"] != "success" || dig(got, "SystemConfiguration.name") != "autocert" || dig(got, "SystemConfiguration.is_configured") != true || dig(got, "SystemConfiguration.private_key_technology__primary") != "RSA_2048" {
		t.Errorf("edit: %v", got)
	}
	var d api.Defaults
	k.ok("GET", "/v1/defaults", "").into(t, &d)
	for _, p := range d.Defaults {
		if (p.Policy != "") != (p.Purpose == "autocert") {
			t.Errorf("the defaults are %+v", d)
		}
	}
	if status, _ := k.older(certfleet.ScopeIssue, "POST", "/system-configuration/2/edit.json", nil); status != http.StatusForbidden {
		t.Errorf("with scope issue: %d", status)
	}
}

func TestAFactoryIsMadeByAForm(t *testing.T) {
	k := caKit(t, "", "", nil)
	form := url.Values{"name": {"whitelabel"}, "domain_template_http01": {"{DOMAIN},www.{DOMAIN}"}, "label_template": {"{NIAMOD}"}, "note": {"customers"}, "acme_account_id__primary": {"1"}, "private_key_cycle__primary": {"single_use"}}
	_, got := k.older(certfleet.ScopeAdmin, "POST", "/enrollment-factorys/new.json", form)
	if got["result"] != "success" || dig(got, "EnrollmentFactory.id") != 1.0 || fmt.Sprint(dig(got, "EnrollmentFactory.domain_template_http01")) != "[{DOMAIN} www.{DOMAIN}]" {
		t.Fatalf("new: %v", got)
	}
	if _, got = k.older(certfleet.ScopeAdmin, "POST", "/enrollment-factorys/new.json", form); dig(got, "form_errors.name") == nil {
		t.Errorf("again: %v", got)
	}
	_, got = k.older(certfleet.ScopeAdmin, "POST", "/enrollment-factory/1/edit.json", url.Values{"domain_template_http01": {"{DOMAIN}"}})
	if got["result"] != "success" || fmt.Sprint(dig(got, "EnrollmentFactory.domain_template_http01")) != "[{DOMAIN}]" || dig(got, "EnrollmentFactory.note") != "customers" {
		t.Errorf("edit: %v", got)
	}
	if _, got = k.older(certfleet.ScopeRead, "GET", "/enrollment-factory/1.json", nil); dig(got, "EnrollmentFactory.acme_account_id__primary") != 1.0 || dig(got, "EnrollmentFactory.private_key_cycle__primary") != "single_use" {
		t.Errorf("it is %v", got)
	}
	for _, c := range []struct{ path, form, field string }{
		{"/enrollment-factorys/new.json", "", "name"}, {"/enrollment-factorys/new.json", "name=x", "Error_Main"}, {"/enrollment-factory/1/edit.json", "name=other", "name"},
		{"/enrollment-factory/1/edit.json", "acme_challenge_duplicate_strategy=odd", "Error_Main"}, {"/enrollment-factory/1/edit.json", "is_export_filesystem=on", "is_export_filesystem"}, {"/enrollment-factory/1/edit.json", "acme_account_id__primary=9", "account_key_option__primary"},
	} {
		q, _ := url.ParseQuery(c.form)
		if _, got := k.older(certfleet.ScopeAdmin, "POST", c.path, q); got["result"] != "error" || dig(got, "form_errors."+c.field) == nil {
			t.Errorf("%s %s: %v", c.path, c.form, got)
		}
	}
}

func TestKeysAreShownWithoutTheirSecret(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	status, text := k.asks("GET", "/.well-known/peter_sslers/private-key/1.json", k.tokens[certfleet.ScopeRead], "")
	if status != 200 || !strings.Contains(text, `"private_key_source":"imported"`) || strings.Contains(text, "PRIVATE") {
		t.Errorf("%d %s", status, text)
	}
	for action, result := range map[string]string{"active": "success", "compromised": "error", "inactive": "error", "": "error"} {
		if _, got := k.older(certfleet.ScopeIssue, "POST", "/private-key/1/mark.json", url.Values{"action": {action}}); got["result"] != result {
			t.Errorf("mark %q: %v", action, got)
		}
	}
}

func TestACertificateIsParsed(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	_, got := k.older(certfleet.ScopeRead, "GET", "/x509-certificate/1/parse.json", nil)
	if dig(got, "X509Certificate.parsed.key_technology") != "EC_P256" || fmt.Sprint(dig(got, "X509Certificate.parsed.SubjectAlternativeName")) != "[shop.example.com]" || len(fmt.Sprint(dig(got, "X509Certificate.parsed.fingerprint_sha1"))) != 59 {
		t.Errorf("parsed: %v", got)
	}
	if _, got = k.older(certfleet.ScopeRead, "GET", "/x509-certificate/1/ari-check-history.json", nil); rows(got, "AriChecks") != 0 {
		t.Errorf("its history: %v", got)
	}
	if status, _ := k.older(certfleet.ScopeRead, "GET", "/x509-certificate/99/parse.json", nil); status != http.StatusNotFound {
		t.Errorf("of none: %d", status)
	}
}

func TestABrowserSendsAForm(t *testing.T) {
	k := caKit(t, "", "", nil)
	k.older(certfleet.ScopeAdmin, "POST", "/enrollment-factorys/new.json", url.Values{"name": {"whitelabel"}, "domain_template_http01": {"{DOMAIN}"}, "note": {"stays"}})
	req, err := http.NewRequestWithContext(t.Context(), "POST", k.url+"/.well-known/peter_sslers/enrollment-factory/1/edit", strings.NewReader("note=&domain_template_http01=&label_template=x-%7BNIAMOD%7D&private_key_cycle__primary="))
	must(t, err)
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("browser", k.tokens[certfleet.ScopeAdmin])
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	res.Body.Close()
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the answer is %s", res.Header.Get("Content-Type"))
	}
	_, got := k.older(certfleet.ScopeRead, "GET", "/enrollment-factory/1.json", nil)
	if dig(got, "EnrollmentFactory.note") != "stays" || fmt.Sprint(dig(got, "EnrollmentFactory.domain_template_http01")) != "[{DOMAIN}]" || dig(got, "EnrollmentFactory.label_template") != "x-{NIAMOD}" {
		t.Errorf("what was left empty is changed: %v", got)
	}
}
