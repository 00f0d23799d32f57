package web

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/web/compat"
)

// keep has objects keep former numbers, and compares what came of it.
func (k *kit) keep(kind string, dry bool, want api.FormerKept, rows ...api.FormerNumber) {
	k.t.Helper()
	var got api.FormerKept
	k.ok("POST", "/v1/former", body(k.t, api.FormerNumbers{Kind: kind, DryRun: dry, Numbers: rows})).into(k.t, &got)
	if got != want {
		k.t.Errorf("%s: %+v, want %+v", kind, got, want)
	}
}

// renumbered is a kit whose shop was version 2, domain 2, account 2 and server 2
// elsewhere, which are ids that other objects have here.
func renumbered(t *testing.T) (*kit, *certfleet.Version) {
	k := edgeKit(t)
	k.ok("POST", "/v1/authorities", `{"label":"second-ca","directory_url":"https://second.test/dir"}`)
	for _, ca := range []string{"test-ca", "second-ca"} {
		k.ok("POST", "/v1/accounts", `{"authority":"`+ca+`","later":true}`)
	}
	k.hold(90*day, "shop.example.com")
	k.hold(90*day, "blog.example.com")
	k.hold(90*day, "wiki.example.com")
	shop, err := k.db.Version(t.Context(), 1)
	must(t, err)
	chain, err := pki.ParseChain(shop.ChainPEM)
	must(t, err)
	one := func(kind string, number int64, ref string) {
		row := api.FormerNumber{Number: number, Ref: ref}
		k.keep(kind, true, api.FormerKept{Kept: 1}, row)
		k.keep(kind, false, api.FormerKept{Kept: 1}, row)
		k.keep(kind, false, api.FormerKept{There: 1}, row)
	}
	one("version", 2, shop.Fingerprint)
	one("certificate", 12, "shop.example.com")
	one("domain", 2, "shop.example.com")
	one("account", 2, "test-ca")
	one("authority", 2, "test-ca")
	one("key", 9, shop.SPKI)
	one("chain", 1, pki.ContentID(pki.EncodeChain(chain[1:])))
	return k, shop
}

func TestFormerNumbersAreCounted(t *testing.T) {
	k, _ := renumbered(t)
	k.keep("domain", false, api.FormerKept{Taken: 1, Missing: 2}, api.FormerNumber{Number: 2, Ref: "blog.example.com"}, api.FormerNumber{Number: 3, Ref: "nobody.example.com"}, api.FormerNumber{Number: 4, Ref: "no name"})
	k.keep("version", false, api.FormerKept{Missing: 1}, api.FormerNumber{Number: 3, Ref: "ffff"})
	for _, bad := range []string{`{"kind":"order","numbers":[]}`, `{"kind":"version","numbers":[{"number":0,"ref":"x"}]}`, `{"kind":"version","numbers":[{"number":1099511627776,"ref":"x"}]}`, `{"kind":"version","highest":-1}`, `{"kind":"version","highest":500000001}`, `{"kind":"version","highest":9223372036854775807}`} {
		if r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/former", bad); r.status != 422 {
			t.Errorf("%s: %d %s", bad, r.status, r.body)
		}
	}
	if r := k.do(k.tokens[certfleet.ScopeIssue], "POST", "/v1/former", `{"kind":"version"}`); r.status != http.StatusForbidden {
		t.Errorf("with scope issue: %d", r.status)
	}
	k.ok("POST", "/v1/former", `{"kind":"version","highest":5000}`)
	k.hold(90*day, "new.example.com")
	if v, err := k.db.Version(t.Context(), 11001); err != nil || v.Names[0].String() != "new.example.com" {
		t.Errorf("the next version is not 11001: %+v, %v", v, err)
	}
}

// TestObjectsAreFoundByFormerNumbers asks for each by the number that it had, by
// its own id, and for those that had another's number as id.
func TestObjectsAreFoundByFormerNumbers(t *testing.T) {
	k, shop := renumbered(t)
	const shadow = 1 << 40
	redis := pki.ContentIDOf(shop.Fingerprint)
	key := pki.ContentIDOf(shop.SPKI)
	for _, c := range []struct {
		path, field string
		want        any
	}{
		{"/x509-certificate/2.json", "X509Certificate.domains_as_list", "[shop.example.com]"}, {"/x509-certificate/2.json", "X509Certificate.id", 2.0},
		{"/x509-certificate/2.json", "X509Certificate.RenewalConfiguration.id", 12.0}, {"/x509-certificate/2.json", "X509Certificate.private_key_id", 9.0},
		{fmt.Sprintf("/x509-certificate/%d.json", shadow+2), "X509Certificate.domains_as_list", "[blog.example.com]"}, {fmt.Sprintf("/x509-certificate/%d", shadow+2), "X509Certificate.id", float64(shadow + 2)},
		{"/x509-certificate/3.json", "X509Certificate.domains_as_list", "[wiki.example.com]"}, {"/x509-certificate/3.json", "X509Certificate.id", 3.0},
		{"/x509-certificate/" + redis + ".json", "X509Certificate.id", 2.0}, {"/private-key/" + key + ".json", "PrivateKey.id", 9.0}, {"/private-key/9", "PrivateKey.spki_sha256", shop.SPKI},
		{"/renewal-configuration/12.json", "RenewalConfiguration.label", "shop.example.com"}, {"/renewal-configuration/12.json", "RenewalConfiguration.id", 12.0}, {"/renewal-configuration/shop.example.com", "RenewalConfiguration.id", 12.0},
		{"/domain/2.json", "Domain.domain_name", "shop.example.com"}, {"/domain/shop.example.com", "Domain.id", 2.0}, {"/domain/blog.example.com", "Domain.id", float64(shadow + 2)}, {"/domain/2", "Domain.certificate__latest_single.id", 2.0},
		{"/domain/2/config.json", "x509_certificate__latest_single.id", "2"}, {"/domain/2/config.json?id_only=1", "Domain.id", "2"}, {"/domain/shop.example.com/config.json", "server_certificate__latest_single.private_key.id", "9"},
		{"/domain/2/config.json", "x509_certificate__latest_single.fullchain.id", "2,1"}, {"/domain/2/config.json", "x509_certificate__latest_single.chain.id", "1"},
		{"/x509-certificate/2/config.json", "id", "2"}, {"/x509-certificate/2/config.json", "private_key.id", "9"}, {"/x509-certificate/2/config.json?idonly=1", "chain.id", "1"},
		{"/acme-account/2.json", "AcmeAccount.name", "test-ca"}, {"/acme-account/2.json", "AcmeAccount.acme_server_id", 2.0}, {fmt.Sprintf("/acme-account/%d", shadow+2), "AcmeAccount.name", "second-ca"}, {"/acme-server/2", "AcmeServer.name", "test-ca"},
		{"/domain/2/renewal-configurations", "RenewalConfigurations", "12"},
	} {
		scope := certfleet.ScopeRead
		if strings.Contains(c.path, "/config.json") {
			scope = certfleet.ScopeEdge
		}
		status, got := k.older(scope, "GET", c.path, nil)
		have := dig(got, c.field)
		if list, is := have.([]any); is && len(list) == 1 {
			if o, is := list[0].(map[string]any); is {
				have = fmt.Sprint(o["id"])
			} else {
				have = fmt.Sprint(list)
			}
		}
		if status != 200 || have != c.want {
			t.Errorf("%s: %d, %s is %v, want %v: %.300v", c.path, status, c.field, have, c.want, got)
		}
	}
	for _, path := range []string{"/x509-certificate/1.json", "/domain/1.json", "/acme-account/1", "/acme-server/1.json", "/renewal-configuration/3.json", "/private-key/3.json", "/x509-certificate/4.json", fmt.Sprintf("/x509-certificate/%d.json", shadow+99), "/x509-certificate/9000000000000000000.json", "/domain/9.json", "/renewal-configuration/99.json"} {
		if status, got := k.older(certfleet.ScopeAdmin, "GET", path, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
}

func TestListsShowFormerNumbers(t *testing.T) {
	k, _ := renumbered(t)
	_, got := k.older(certfleet.ScopeRead, "GET", "/x509-certificates.json", nil)
	all, _ := got["X509Certificates"].(map[string]any)
	for number, name := range map[string]string{"2": "shop.example.com", fmt.Sprint(1<<40 + 2): "blog.example.com", "3": "wiki.example.com"} {
		o, _ := all[number].(map[string]any)
		if len(all) != 3 || fmt.Sprint(dig(o, "domains_as_list")) != "["+name+"]" || fmt.Sprintf("%.0f", o["id"]) != number {
			t.Errorf("%s is %v of %v", number, o, all)
		}
	}
	res, page := k.browse(certfleet.ScopeRead, "/domain/shop.example.com")
	if res.StatusCode != 200 || !strings.Contains(page, `/x509-certificate/2"`) {
		t.Errorf("a page leads elsewhere: %s", page)
	}
}

func TestFormsAndFilesGoByFormerNumbers(t *testing.T) {
	k, shop := renumbered(t)
	_, got := k.older(certfleet.ScopeAdmin, "POST", "/renewal-configuration/new.json", url.Values{"domain_names_http01": {"a.example.com"}, "acme_account_id__primary": {"2"}})
	var p api.Policy
	k.ok("GET", "/v1/policies/"+fmt.Sprint(dig(got, "RenewalConfiguration.policy")), "").into(t, &p)
	if got["result"] != "success" || len(p.Authorities) != 1 || p.Authorities[0] != "test-ca" {
		t.Errorf("the account is another: %v, %+v", got, p)
	}
	_, got = k.older(certfleet.ScopeAdmin, "POST", "/renewal-configuration/12/mark.json", url.Values{"action": {"active"}})
	if got["result"] != "success" || dig(got, "RenewalConfiguration.label") != "shop.example.com" || dig(got, "RenewalConfiguration.id") != 12.0 {
		t.Errorf("mark: %v", got)
	}
	if status, text := k.asks("GET", compat.Prefix+"/x509-certificate/2/fullchain.pem", k.tokens[certfleet.ScopeEdge], ""); status != 200 || strings.TrimSpace(text) != strings.TrimSpace(string(shop.ChainPEM)) {
		t.Errorf("the file is another's: %d %s", status, text)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", k.url+compat.Prefix+"/x509-certificate/2/via-certificate-trust-chain/1/config.zip", nil)
	must(t, err)
	req.SetBasicAuth("x", k.tokens[certfleet.ScopeEdge])
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if must(t, err); res.StatusCode != 200 || res.Header.Get("Content-Disposition") != "attachment; filename=cert2-chain1.zip" || !strings.Contains(string(b), "privkey2.pem") {
		t.Errorf("the zip: %d %v %.200q", res.StatusCode, res.Header, b)
	}
}

// TestOnlyTheDefaultTenantRaisesIds has another tenant ask for what moves the ids of
// all, and the highest number taken leave most of 32 bits.
func TestOnlyTheDefaultTenantRaisesIds(t *testing.T) {
	k := newKit(t)
	secret, hash := NewToken()
	must(t, k.db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		return tx.AddToken(t.Context(), &certfleet.Token{Tenant: 2, Label: "other", Hash: hash, Scopes: certfleet.Scopes})
	}))
	for _, ask := range []string{`{"kind":"authority","highest":500000000}`, `{"kind":"authority","highest":1,"dry_run":true}`} {
		if r := k.do(secret, "POST", "/v1/former", ask); r.status != http.StatusForbidden || !strings.Contains(r.body, "advice") {
			t.Errorf("%s of another tenant: %d %s", ask, r.status, r.body)
		}
	}
	if r := k.do(secret, "POST", "/v1/former", `{"kind":"authority","numbers":[{"number":1,"ref":"x"}]}`); r.status != http.StatusOK {
		t.Errorf("its own numbers: %d %s", r.status, r.body)
	}
	made := func(label string) (a api.Authority) {
		k.ok("POST", "/v1/authorities", `{"label":"`+label+`","directory_url":"https://`+label+`.test/dir"}`).into(t, &a)
		return a
	}
	if a := made("before"); a.ID > 10 {
		t.Errorf("another tenant raised the ids to %d", a.ID)
	}
	k.ok("POST", "/v1/former", `{"kind":"authority","highest":500000000}`)
	if a := made("after"); a.ID != 1_000_001_001 {
		t.Errorf("the next is %d", a.ID)
	}
}

// TestANumberOfWhatDidNotComeAlongIsNobodys asks for numbers that objects here have as
// ids, and that were others' in the database that was taken over.
func TestANumberOfWhatDidNotComeAlongIsNobodys(t *testing.T) {
	k, _ := renumbered(t)
	const shadow = 1 << 40
	ids := func(path string) (int, any) {
		status, got := k.older(certfleet.ScopeAdmin, "GET", path, nil)
		return status, dig(got, "X509Certificate.id")
	}
	if status, id := ids("/x509-certificate/3.json"); status != 200 || id != 3.0 {
		t.Errorf("before, it is %d, %v", status, id)
	}
	k.ok("POST", "/v1/former", `{"kind":"version","highest":700}`)
	k.hold(90*day, "new.example.com")
	for path, want := range map[string]any{"/x509-certificate/2.json": 2.0, fmt.Sprintf("/x509-certificate/%d.json", shadow+3): float64(shadow + 3), "/x509-certificate/2401.json": 2401.0} {
		if status, id := ids(path); status != 200 || id != want {
			t.Errorf("%s: %d, %v; want %v", path, status, id, want)
		}
	}
	for _, path := range []string{"/x509-certificate/3.json", "/x509-certificate/3", "/x509-certificate/700.json"} {
		if status, id := ids(path); status != http.StatusNotFound {
			t.Errorf("%s: %d, %v", path, status, id)
		}
	}
	k.ok("POST", "/v1/former", `{"kind":"account","highest":2}`)
	_, got := k.older(certfleet.ScopeAdmin, "POST", "/renewal-configuration/new.json", url.Values{"domain_names_http01": {"b.example.com"}, "acme_account_id__primary": {"1"}})
	if got["result"] != "error" || !strings.Contains(fmt.Sprint(got["form_errors"]), "not found") {
		t.Errorf("a form with the number of an account that did not come along: %v", got)
	}
}
