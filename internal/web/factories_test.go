package web

import (
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func TestAFactoryOnboardsDomainsOneByOne(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("PUT", "/v1/factories/hosting", `{"label":"hosting","domain_template_http01":["{DOMAIN}","www.{DOMAIN}"],"targets":["edge"]}`)
	onboard := func(body string) (o api.Onboarded) {
		t.Helper()
		k.ok("POST", "/v1/factories/hosting/onboard", body).into(t, &o)
		return o
	}
	dry := onboard(`{"domains":["a.example"],"dry_run":true}`)
	if dry.Created != 1 || !dry.DryRun || len(dry.Domains) != 1 || len(dry.Domains[0].Names) != 2 {
		t.Errorf("a dry run says %+v", dry)
	}
	if o := onboard(`{"domains":["a.example","192.0.2.1","b.example"],"note":"ticket"}`); o.Created != 2 || o.Failed != 1 || o.Domains[1].Advice == "" || o.Domains[2].Label != "example.b" {
		t.Errorf("onboarding says %+v", o)
	}
	if o := onboard(`{"domains":["a.example"]}`); o.Created+o.Changed+o.Failed != 0 || o.Domains[0].Certificate == nil {
		t.Errorf("asked again it says %+v", o)
	}
	var e api.Enrollment
	k.ok("GET", "/v1/factories/hosting/query?domain=a.example", "").into(t, &e)
	if e.Certificate == nil || e.Certificate.Label != "example.a" || e.Policy != "default" {
		t.Errorf("the query says %+v", e)
	}
	var none api.Enrollment
	k.ok("GET", "/v1/factories/hosting/query?domain=c.example", "").into(t, &none)
	if none.Certificate != nil || none.Label != "example.c" {
		t.Errorf("the query for one that is not there says %+v", none)
	}
	if r := k.do(k.tokens[certfleet.ScopeRead], "POST", "/v1/factories/hosting/onboard", `{"domains":["d.example"]}`); r.status != 403 {
		t.Errorf("a reader onboards with status %d", r.status)
	}
	k.ok("DELETE", "/v1/factories/hosting", "")
	k.ok("GET", "/v1/certificates/example.a", "")
	if r := k.do(k.tokens[certfleet.ScopeAdmin], "GET", "/v1/factories/hosting", ""); r.status != 404 {
		t.Errorf("the removed factory answers %d", r.status)
	}
}

func TestDefaultsAreSetAndTakenAway(t *testing.T) {
	k := newKit(t).fleet()
	set := func(purpose, policy string) string {
		t.Helper()
		var d api.Defaults
		k.ok("PUT", "/v1/defaults/"+purpose, `{"policy":"`+policy+`"}`).into(t, &d)
		for _, p := range d.Defaults {
			if p.Purpose == purpose {
				return p.Policy
			}
		}
		return "no such purpose"
	}
	if got := set("autocert", "default"); got != "default" {
		t.Errorf("set, it is %q", got)
	}
	if got := set("autocert", ""); got != "" {
		t.Errorf("taken away, it is %q", got)
	}
	k.ok("POST", "/v1/accounts", `{"authority":"test-ca","later":true}`)
	k.ok("PATCH", "/v1/accounts/test-ca", `{"key_cycle":"account_weekly","profile":"shortlived"}`)
	k.ok("PATCH", "/v1/accounts/test-ca", `{"profile":""}`)
	var a api.Account
	k.ok("GET", "/v1/accounts/test-ca", "").into(t, &a)
	if a.Defaults == nil || *a.Defaults != (api.AccountDefaults{KeyCycle: "account_weekly"}) {
		t.Errorf("the account says %+v", a.Defaults)
	}
}
