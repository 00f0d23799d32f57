package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/web/compat"
)

// older asks a route of the older system and reads its JSON.
func (k *kit) older(scope certfleet.Scope, method, path string, form url.Values) (int, map[string]any) {
	k.t.Helper()
	status, got := k.asks(method, compat.Prefix+path, k.tokens[scope], form.Encode())
	var out map[string]any
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		k.t.Fatalf("%s %s: %d %s", method, path, status, got)
	}
	return status, out
}

// dig reads a path such as AcmeAccount.id.
func dig(o map[string]any, path string) any {
	var at any = o
	for _, p := range strings.Split(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[p]
	}
	return at
}

func TestTheOlderListsHaveTheirShapes(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	k.ok("POST", "/v1/accounts", `{"authority":"test-ca","later":true}`)
	k.ok("POST", "/v1/factories", `{"label":"customers","domain_template_http01":["{DOMAIN}"]}`)
	for _, c := range []struct{ path, key, first string }{
		{"/acme-accounts", "AcmeAccounts", "1"}, {"/acme-servers", "AcmeServers", "1"}, {"/domains", "Domains", "1"}, {"/x509-certificates", "X509Certificates", "1"},
		{"/x509-certificates/all", "X509Certificates", "1"}, {"/acme-orders", "AcmeOrders", ""}, {"/acme-orders/active", "AcmeOrders", ""}, {"/acme-orders/finished", "AcmeOrders", ""},
		{"/renewal-configurations", "RenewalConfigurations", ""}, {"/renewal-configurations/disabled", "RenewalConfigurations", ""}, {"/enrollment-factorys", "EnrollmentFactorys", ""},
	} {
		for _, path := range []string{c.path + ".json", c.path + "/1.json", c.path} {
			status, got := k.older(certfleet.ScopeRead, "GET", path, nil)
			object, isObject := got[c.key].(map[string]any)
			array, isArray := got[c.key].([]any)
			if status != 200 || dig(got, "pagination.page") != 1.0 || isObject != (c.first != "") || isArray != (c.first == "") {
				t.Errorf("%s: %d %v", path, status, got)
			}
			if c.first != "" && dig(object, c.first+".id") != 1.0 {
				t.Errorf("%s has no row 1: %v", path, object)
			}
			if wantRows := !strings.Contains(c.path, "order"); c.first == "" && wantRows != (len(array) > 0) {
				t.Errorf("%s has %d rows", path, len(array))
			}
		}
		if _, got := k.older(certfleet.ScopeRead, "GET", c.path+"/7.json", nil); dig(got, "pagination.page_next") != nil {
			t.Errorf("%s: behind the last page there is more: %v", c.path, got)
		}
	}
}

func TestTheOlderObjectsAreThereOr404(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	k.ok("POST", "/v1/accounts", `{"authority":"test-ca","later":true,"contact":["tls@example.com"]}`)
	k.ok("POST", "/v1/factories", `{"label":"customers","domain_template_http01":["{DOMAIN}"]}`)
	for _, c := range []struct {
		path, field string
		want        any
	}{
		{"/acme-account/1.json", "AcmeAccount.contact", "tls@example.com"},
		{"/acme-account/1.json", "AcmeAccount.acme_server_name", "test-ca"},
		{"/domain/1.json", "Domain.domain_name", "shop.example.com"},
		{"/domain/shop.example.com.json", "Domain.certificate__latest_single.id", 1.0},
		{"/domain/shop.example.com", "Domain.suffix", "com"},
		{"/x509-certificate/1.json", "X509Certificate.id", 1.0},
		{"/x509-certificate/1.json", "X509Certificate.certificate_type", "raw_imported"},
		{"/renewal-configuration/1.json", "RenewalConfiguration.is_active", false},
		{"/enrollment-factory/1.json", "EnrollmentFactory.name", "customers"},
		{"/api/version.json", "version", certfleet.Release},
	} {
		if status, got := k.older(certfleet.ScopeRead, "GET", c.path, nil); status != 200 || dig(got, c.field) != c.want {
			t.Errorf("%s: %d, %s is %v, want %v", c.path, status, c.field, dig(got, c.field), c.want)
		}
	}
	for _, path := range []string{"/acme-account/99.json", "/acme-order/99.json", "/acme-order/x.json", "/domain/nobody.example.com.json", "/x509-certificate/99.json", "/renewal-configuration/99.json", "/enrollment-factory/99.json", "/domains/expiring.json"} {
		if status, got := k.older(certfleet.ScopeRead, "GET", path, nil); status != http.StatusNotFound || got["message"] == "" {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
}

func TestTheOlderFormsSayWhatIsWrong(t *testing.T) {
	k := edgeKit(t)
	chain, _ := pair(t, 90*day, "a.example.com")
	_, other := pair(t, 90*day, "a.example.com")
	for _, c := range []struct{ path, form, field string }{
		{"/acme-account/new.json", "", "acme_server_id"},
		{"/acme-account/new.json", "acme_server_id=77", "acme_server_id"},
		{"/acme-account/upload.json", "acme_server_id=1", "account_key_file_pem"},
		{"/acme-account/upload.json", "account_key_file_pem=x", "acme_server_id"},
		{"/acme-order/new/freeform.json", "domain_names_http01=a.example.com", "processing_strategy"},
		{"/acme-order/new/freeform.json", "processing_strategy=process_single", "domain_names_http01"},
		{"/acme-order/new/freeform.json", "processing_strategy=process_single&domain_names_http01=a.example.com&domain_names_dns01=a.example.com", "domain_names_dns01"},
		{"/acme-order/new/freeform.json", "processing_strategy=process_single&domain_names_http01=a_b", "Error_Main"},
		{"/acme-order/new/freeform.json", "processing_strategy=process_single&domain_names_http01=a.example.com&acme_account_id__primary=9", "account_key_option__primary"},
		{"/renewal-configuration/new.json", "domain_names_http01=a.example.com&private_key_technology__primary=DSA", "private_key_technology__primary"},
		{"/renewal-configuration/new.json", "domain_names_http01=a.example.com&private_key_existing__primary=cdc5be0b", "private_key_existing__primary"},
		{"/renewal-configuration/new.json", "domain_names_http01=a.example.com&is_export_filesystem=on", "is_export_filesystem"},
		{"/renewal-configuration/1/new-order.json", "processing_strategy=create_order&replaces_certificate_type=backup", "replaces"},
		{"/api/domain/certificate-if-needed.json", "processing_strategy=process_single&domain_name=a.example.com,b.example.com", "domain_name"},
		{"/api/domain/certificate-if-needed.json", "domain_name=a.example.com", "processing_strategy"},
		{"/x509-certificate/upload.json", "certificate_file=x", "private_key_file_pem"},
		{"/x509-certificate/upload.json", url.Values{"certificate_file": {chain}, "chain_file": {"\n"}, "private_key_file_pem": {other}}.Encode(), "Error_Main"},
		{"/x509-certificates/search.json", "", "Error_Main"},
		{"/domains/search.json", "", "domain"},
	} {
		form, err := url.ParseQuery(c.form)
		must(t, err)
		status, got := k.older(certfleet.ScopeAdmin, "POST", c.path, form)
		if status != 200 || got["result"] != "error" || dig(got, "form_errors."+c.field) == nil || dig(got, "form_errors.Error_Main") == nil {
			t.Errorf("%s with %s: %d %v", c.path, c.form, status, got)
		}
	}
	var p api.Page[api.Certificate]
	k.ok("GET", "/v1/certificates", "").into(t, &p)
	if len(p.Items) != 0 {
		t.Errorf("a refused form left %d certificates", len(p.Items))
	}
}

func TestTheOlderRoutesNeedTheirScopes(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	for _, c := range []struct {
		method, path string
		enough       []certfleet.Scope
	}{
		{"GET", "/acme-accounts.json", []certfleet.Scope{certfleet.ScopeRead, certfleet.ScopeIssue, certfleet.ScopeDeliver, certfleet.ScopeAdmin}},
		{"POST", "/acme-account/new.json", []certfleet.Scope{certfleet.ScopeAdmin}},
		{"POST", "/acme-order/new/freeform.json", []certfleet.Scope{certfleet.ScopeIssue, certfleet.ScopeAdmin}},
		{"POST", "/renewal-configuration/1/mark.json", []certfleet.Scope{certfleet.ScopeIssue, certfleet.ScopeAdmin}},
		{"POST", "/api/redis/prime.json", []certfleet.Scope{certfleet.ScopeDeliver, certfleet.ScopeAdmin}},
	} {
		for scope, token := range k.tokens {
			want := http.StatusForbidden
			for _, s := range c.enough {
				if s == scope {
					want = 200
				}
			}
			if status, got := k.asks(c.method, compat.Prefix+c.path, token, "action=none"); status != want {
				t.Errorf("%s %s with scope %s: %d %s", c.method, c.path, scope, status, got)
			}
		}
		if status, _ := k.asks(c.method, compat.Prefix+c.path, "", ""); status != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", c.path, status)
		}
	}
}

func TestACertificateIsUploadedSearchedAndMarked(t *testing.T) {
	k := edgeKit(t)
	chain, key := pair(t, 90*day, "shop.example.com")
	form := url.Values{"certificate_file": {chain}, "chain_file": {"\n"}, "private_key_file_pem": {key}}
	for i, created := range []bool{true, false} {
		_, got := k.older(certfleet.ScopeIssue, "POST", "/x509-certificate/upload.json", form)
		if got["result"] != "success" || dig(got, "X509Certificate.created") != created || dig(got, "X509Certificate.id") != 1.0 || dig(got, "PrivateKey.id") == 0.0 {
			t.Errorf("upload %d: %v", i+1, got)
		}
	}
	_, got := k.older(certfleet.ScopeRead, "GET", "/x509-certificate/1.json", nil)
	serial := fmt.Sprint(dig(got, "X509Certificate.cert_serial"))
	if pem := fmt.Sprint(dig(got, "X509Certificate.cert_pem")); !strings.Contains(chain, strings.TrimSpace(pem)) || len(fmt.Sprint(dig(got, "X509Certificate.cert_pem_md5"))) != 32 {
		t.Errorf("the certificate is shown as %v", got)
	}
	_, got = k.older(certfleet.ScopeRead, "POST", "/x509-certificates/search.json", url.Values{"serial": {serial}})
	if dig(got, "X509Certificates.1.id") != 1.0 {
		t.Errorf("search for %s: %v", serial, got)
	}
	for action, active := range map[string]bool{"active": true, "inactive": false} {
		if _, got = k.older(certfleet.ScopeIssue, "POST", "/renewal-configuration/1/mark.json", url.Values{"action": {action}}); dig(got, "RenewalConfiguration.is_active") != active {
			t.Errorf("marked %s: %v", action, got)
		}
	}
	_, got = k.older(certfleet.ScopeIssue, "POST", "/api/domain/certificate-if-needed.json", url.Values{"domain_name": {"shop.example.com"}, "processing_strategy": {"process_single"}})
	results, _ := got["domain_results"].(map[string]any)
	one, _ := results["shop.example.com"].(map[string]any)
	if one["x509_certificate.status"] != "exists" || one["x509_certificate.id"] != 1.0 || one["acme_order.id"] != nil || one["domain.status"] != "existing" {
		t.Errorf("if needed: %v", got)
	}
}

func TestAConfigurationIsMadeOnceForkedAndOnboarded(t *testing.T) {
	k := edgeKit(t)
	form := url.Values{"domain_names_http01": {"a.example.com,\nb.example.com"}}
	_, first := k.older(certfleet.ScopeIssue, "POST", "/renewal-configuration/new.json", form)
	_, again := k.older(certfleet.ScopeIssue, "POST", "/renewal-configuration/new.json", form)
	if first["is_duplicate_renewal"] != false || again["is_duplicate_renewal"] != true || dig(first, "RenewalConfiguration.id") != dig(again, "RenewalConfiguration.id") {
		t.Errorf("made twice: %v, %v", first, again)
	}
	fork := fmt.Sprintf("/renewal-configuration/%v/new-configuration.json", dig(first, "RenewalConfiguration.id"))
	_, got := k.older(certfleet.ScopeAdmin, "POST", fork, url.Values{"domain_names_http01": {"a.example.com"}, "private_key_technology__primary": {"RSA_2048"}})
	if dig(got, "RenewalConfiguration.is_active") != true || dig(got, "RenewalConfiguration.id") == dig(first, "RenewalConfiguration.id") {
		t.Errorf("the fork: %v", got)
	}
	if _, got = k.older(certfleet.ScopeRead, "GET", "/renewal-configuration/1.json", nil); dig(got, "RenewalConfiguration.is_active") != false {
		t.Errorf("the source of a fork goes on: %v", got)
	}
	k.ok("POST", "/v1/factories", `{"label":"customers","domain_template_http01":["{DOMAIN}","www.{DOMAIN}"]}`)
	_, got = k.older(certfleet.ScopeIssue, "POST", "/enrollment-factory/1/onboard.json", url.Values{"domain_name": {"shop.example.com"}})
	if dig(got, "RenewalConfiguration.label") != "com.example.shop" || got["is_duplicate_renewal"] != false {
		t.Errorf("onboard: %v", got)
	}
	_, got = k.older(certfleet.ScopeRead, "POST", "/enrollment-factory/1/query.json", url.Values{"domain_name": {"shop.example.com"}})
	if dig(got, "RenewalConfiguration.label") != "com.example.shop" {
		t.Errorf("query: %v", got)
	}
}
