package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/web/compat"
)

func TestAnAccountSaysWhatItsOrdersAreLike(t *testing.T) {
	k := caKit(t, "", "", nil)
	_, got := k.older(certfleet.ScopeRead, "GET", "/acme-account/1.json", nil)
	if dig(got, "AcmeAccount.order_default_private_key_cycle") != "single_use" || dig(got, "AcmeAccount.order_default_private_key_technology") != "EC_P256" {
		t.Errorf("before: %v", got)
	}
	form := url.Values{"account__order_default_private_key_cycle": {"account_weekly"}, "account__order_default_private_key_technology": {"RSA_2048"}, "account__order_default_acme_profile": {"shortlived"}, "name": {"ours"}}
	_, got = k.older(certfleet.ScopeAdmin, "POST", "/acme-account/1/edit.json", form)
	if got["result"] != "success" || dig(got, "AcmeAccount.order_default_private_key_cycle") != "account_weekly" || dig(got, "AcmeAccount.order_default_private_key_technology") != "RSA_2048" || dig(got, "AcmeAccount.order_default_acme_profile") != "shortlived" {
		t.Errorf("edit: %v", got)
	}
	_, got = k.older(certfleet.ScopeAdmin, "POST", "/acme-account/1/edit.json", url.Values{"account__order_default_acme_profile": {"@"}})
	if dig(got, "AcmeAccount.order_default_acme_profile") != nil || dig(got, "AcmeAccount.order_default_private_key_cycle") != "account_weekly" {
		t.Errorf("one field: %v", got)
	}
	for _, c := range []struct{ form, field string }{
		{"account__order_default_private_key_technology=DSA", "account__order_default_private_key_technology"}, {"account__order_default_private_key_cycle=hourly", "account__order_default_private_key_cycle"},
		{"name=theirs", "name"}, {"account__private_key_technology=RSA_4096", "account__private_key_technology"},
	} {
		q, _ := url.ParseQuery(c.form)
		if _, got := k.older(certfleet.ScopeAdmin, "POST", "/acme-account/1/edit.json", q); got["result"] != "error" || dig(got, "form_errors."+c.field) == nil {
			t.Errorf("%s: %v", c.form, got)
		}
	}
	for action, result := range map[string]string{"active": "success", "inactive": "error", "is_render_in_selects": "error", "": "error"} {
		if _, got := k.older(certfleet.ScopeAdmin, "POST", "/acme-account/1/mark.json", url.Values{"action": {action}}); got["result"] != result {
			t.Errorf("mark %q: %v", action, got)
		}
	}
}

// replaced holds two versions of a name, the first of them replaced, and one of
// another name that has expired.
func replaced(t *testing.T, k *kit) {
	k.hold(60*day, "shop.example.com")
	chain, key := pair(t, 90*day, "shop.example.com")
	k.ok("POST", "/v1/import", body(t, api.Import{Label: "shop.example.com", ChainPEM: chain, KeyPEM: key}))
	chain, key = pair(t, -day, "old.example.com")
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key, Force: true}))
	chain, key = pair(t, 5*day, "soon.example.com")
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key}))
}

func TestCertificatesAreListedByHowTheyStand(t *testing.T) {
	k := edgeKit(t)
	replaced(t, k)
	for path, want := range map[string]string{"active": "2 3 4", "active-expired": "3", "expiring": "3 4", "inactive": "1", "inactive-unexpired": "1", "all": "1 2 3 4"} {
		_, got := k.older(certfleet.ScopeRead, "GET", "/x509-certificates/"+path+".json", nil)
		list, _ := got["X509Certificates"].(map[string]any)
		var ids []string
		for _, id := range []string{"1", "2", "3", "4"} {
			if o, is := list[id]; is {
				ids = append(ids, id)
				if active := path != "inactive" && path != "inactive-unexpired" && (id != "1"); dig(o.(map[string]any), "is_active") != active {
					t.Errorf("%s: %s is shown as %v", path, id, o)
				}
			}
		}
		if strings.Join(ids, " ") != want || dig(got, "pagination.page") != 1.0 {
			t.Errorf("%s are %v, want %s: %v", path, ids, want, got)
		}
	}
}

func TestAMarkIsKeptOrRefused(t *testing.T) {
	revoked := 0
	k := edgeKit(t, func(d *Deps) {
		d.Acts.Revoke = func(ctx context.Context, id int64, reason int) error {
			v, err := d.DB.Version(ctx, id)
			if err != nil || reason != 4 {
				return fmt.Errorf("reason %d, %w", reason, err)
			}
			v.RevokedAt, v.RevokeReason, revoked = time.Now(), reason, revoked+1
			return d.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SaveVersion(ctx, v) })
		}
	})
	replaced(t, k)
	for _, c := range []struct{ path, form, result string }{
		{"1", "action=inactive", "success"}, {"1", "action=active", "error"}, {"2", "action=active", "success"}, {"2", "action=inactive", "error"},
		{"2", "action=unrevoke", "error"}, {"2", "", "error"}, {"2", "action=revoked&reason=eleven", "error"}, {"2", "action=revoked&reason=11", "error"},
		{"2", "action=revoked&reason=4", "success"}, {"2", "action=revoked", "success"}, {"2", "action=inactive", "success"},
	} {
		q, _ := url.ParseQuery(c.form)
		if _, got := k.older(certfleet.ScopeIssue, "POST", "/x509-certificate/"+c.path+"/mark.json", q); got["result"] != c.result {
			t.Errorf("%s %s: %v", c.path, c.form, got)
		}
	}
	if revoked != 1 {
		t.Errorf("the CA was told %d times", revoked)
	}
}

func TestTheCAIsAskedForAWindow(t *testing.T) {
	problem := ""
	k := edgeKit(t, func(d *Deps) {
		d.Acts.AskARI = func(ctx context.Context, id int64) error {
			v, err := d.DB.Version(ctx, id)
			if err != nil {
				return err
			}
			v.ARIStart, v.ARIEnd, v.ARIProblem = time.Unix(1e9, 0), time.Unix(1e9+60, 0), problem
			return d.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SaveVersion(ctx, v) })
		}
	})
	k.hold(90*day, "shop.example.com")
	_, got := k.older(certfleet.ScopeIssue, "POST", "/x509-certificate/1/ari-check.json", nil)
	if got["result"] != "success" || dig(got, "AriCheck.suggested_window_start") != "2001-09-09T01:46:40+00:00" || dig(got, "AriCheck.ari_check_status") != true {
		t.Errorf("asked: %v", got)
	}
	problem = "the CA does not answer"
	if _, got = k.older(certfleet.ScopeIssue, "POST", "/x509-certificate/1/ari-check.json", nil); got["result"] != "error" || got["error"] != problem {
		t.Errorf("asked in vain: %v", got)
	}
	if status, _ := k.older(certfleet.ScopeIssue, "POST", "/x509-certificate/99/ari-check.json", nil); status != http.StatusNotFound {
		t.Errorf("of none: %d", status)
	}
}

func TestABackupIsNamedByTheForm(t *testing.T) {
	k := edgeKit(t)
	k.ok("POST", "/v1/authorities", `{"label":"second-ca","directory_url":"https://second.test/dir"}`)
	for _, ca := range []string{"test-ca", "second-ca"} {
		k.ok("POST", "/v1/accounts", `{"authority":"`+ca+`","later":true}`)
	}
	const names = "domain_names_http01=a.example.com&"
	for _, c := range []struct{ form, field string }{
		{names + "acme_account_id__primary=1&acme_account_id__backup=1", "account_key_option__backup"},
		{names + "acme_account_id__backup=1", "account_key_option__backup"}, // the default policy's
		{names + "acme_account_id__backup=9", "account_key_option__backup"},
		{names + "private_key_cycle__backup=single_use", "account_key_option__backup"},
		{names + "acme_account_id__backup=2&private_key_technology__backup=DSA", "private_key_technology__backup"},
		{names + "acme_account_id__backup=2&private_key_cycle__backup=hourly", "private_key_cycle__backup"},
	} {
		q, _ := url.ParseQuery(c.form)
		if _, got := k.older(certfleet.ScopeAdmin, "POST", "/renewal-configuration/new.json", q); got["result"] != "error" || dig(got, "form_errors."+c.field) == nil {
			t.Errorf("%s: %v", c.form, got)
		}
	}
	q, _ := url.ParseQuery(names + "acme_account_id__primary=1&acme_account_id__backup=2&private_key_technology__backup=RSA_2048&private_key_cycle__backup=single_use")
	for i, known := range []bool{false, true} {
		_, got := k.older(certfleet.ScopeAdmin, "POST", "/renewal-configuration/new.json", q)
		if got["result"] != "success" || got["is_duplicate_renewal"] != known {
			t.Fatalf("%d: %v", i, got)
		}
		var p api.Policy
		k.ok("GET", "/v1/policies/"+fmt.Sprint(dig(got, "RenewalConfiguration.policy")), "").into(t, &p)
		if b := p.Backup; b == nil || *b != (api.Backup{Authority: "second-ca", KeyType: "rsa2048", KeyCycle: "single_use"}) || p.Authorities[0] != "test-ca" {
			t.Errorf("the policy is %+v, its backup %+v", p, p.Backup)
		}
	}
	q, _ = url.ParseQuery("domain_names_http01=b.example.com&acme_account_id__backup=2&account_key_option__backup=none")
	if _, got := k.older(certfleet.ScopeAdmin, "POST", "/renewal-configuration/new.json", q); dig(got, "RenewalConfiguration.policy") != "default" {
		t.Errorf("with none: %v", got)
	}
}

// posts are the POST routes of the older system.
func posts(t *testing.T) []string {
	all := (&compat.Handler{}).Posts()
	if len(all) < 30 {
		t.Fatalf("only %d routes: %q", len(all), all)
	}
	return all
}

func TestEveryPostExplainsItself(t *testing.T) {
	k := edgeKit(t)
	for _, route := range posts(t) {
		path := strings.NewReplacer("{id}", "1", "{domain}", "shop.example.com").Replace(route)
		for _, scope := range []certfleet.Scope{certfleet.ScopeRead, certfleet.ScopeEdge} {
			status, got := k.older(scope, "GET", path, nil)
			example, _ := got["examples"].([]any)
			if _, is := got["form_fields"].(map[string]any); status != 200 || !is || got["instructions"] == nil || got["valid_options"] == nil || len(example) != 1 || !strings.HasSuffix(fmt.Sprint(example[0]), route) {
				t.Errorf("GET %s: %d %v", path, status, got)
			}
		}
		if status, _ := k.asks("GET", compat.Prefix+path, "", ""); status != http.StatusUnauthorized {
			t.Errorf("GET %s without a token: %d", path, status)
		}
	}
}

func TestAFormNeedsNoContentType(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	for _, media := range []string{"", "text/plain", "application/json", "application/x-www-form-urlencoded; charset=utf-8"} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", k.url+compat.Prefix+"/domains/search.json", strings.NewReader("domain=shop\r\n"))
		must(t, err)
		req.SetBasicAuth("x", k.tokens[certfleet.ScopeRead])
		if media != "" {
			req.Header.Set("Content-Type", media)
		}
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		b, err := io.ReadAll(res.Body)
		must(t, err)
		res.Body.Close()
		if !strings.Contains(string(b), `"shop.example.com"`) {
			t.Errorf("%q: %d %s", media, res.StatusCode, b)
		}
	}
}
