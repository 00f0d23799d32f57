package app_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/takeover"
)

// TestNumbersOfPeterSSLersGoOn asks the routes of peter_sslers, after its database
// moved in, for what scripts hold: the numbers of its objects.
func TestNumbersOfPeterSSLersGoOn(t *testing.T) {
	f := start(t, pebble.Options{})
	second, err := pebble.Start(pebble.Options{HTTPPort: f.httpPort(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close() })
	m := theirFleet(t, second)
	v := newMover(t, f, m)
	f.want(t, "default", nil, "here.example") // has ids that are numbers there
	p := v.draw(t, takeover.Options{})
	wants(t, p, "add former numbers acme_account: 2 numbers", "add former numbers acme_server: 2 numbers", "add former numbers domain: ", "add former numbers renewal_configuration: ", "add former numbers x509_certificate: ", "add former numbers private_key: ", "add former numbers x509_certificate_trust_chain: ", "add former numbers enrollment_factory: 1 numbers")
	carry(t, p)
	if again := v.draw(t, takeover.Options{}); again.Count(takeover.Add) != 0 {
		wants(t, again, "nothing to add")
	}
	s := &scripts{t: t, http: &http.Client{Transport: f.Offline("user:scripts"), Timeout: time.Minute}}
	for _, c := range []struct{ path, field, want string }{
		{"/acme-account/1.json", "AcmeAccount.account_url", m.url}, {"/acme-account/1.json", "AcmeAccount.id", "1"}, {"/acme-account/1.json", "AcmeAccount.acme_server_id", "1"}, {"/acme-account/2.json", "AcmeAccount.name", "le"},
		{"/acme-server/1.json", "AcmeServer.directory_url", second.DirectoryURL}, {"/enrollment-factory/1.json", "EnrollmentFactory.name", "whitelabel"},
		{"/renewal-configuration/1.json", "RenewalConfiguration.label", "shop"}, {"/renewal-configuration/2.json", "RenewalConfiguration.label", "example.customer"}, {"/renewal-configuration/8.json", "RenewalConfiguration.label", "garbled"},
		{"/x509-certificate/1.json", "X509Certificate.domains_as_list", "[shop.example www.shop.example]"}, {"/x509-certificate/1.json", "X509Certificate.RenewalConfiguration.id", "1"},
		{"/x509-certificate/2.json", "X509Certificate.domains_as_list", "[shop.example www.shop.example]"}, {"/x509-certificate/4.json", "X509Certificate.domains_as_list", "[customer.example]"},
	} {
		if got := s.send("GET", c.path, ""); fmt.Sprint(field(got, c.field)) != c.want {
			t.Errorf("%s: %s is %v, want %s", c.path, c.field, field(got, c.field), c.want)
		}
	}
	v.pairsAre(t, s, m)
	if got := s.send("GET", "/x509-certificate/3.json", ""); got["message"] == nil { // an older one, which stayed there
		t.Errorf("one that did not come along: %v", got)
	}
	if here := s.send("GET", "/domain/here.example.json", ""); field(here, "Domain.domain_name") != "here.example" {
		t.Errorf("ours: %v", here)
	} else if again := s.send("GET", fmt.Sprintf("/domain/%.0f.json", field(here, "Domain.id")), ""); field(again, "Domain.domain_name") != "here.example" {
		t.Errorf("ours by its number %v: %v", field(here, "Domain.id"), again)
	}
	v.newNumbers(t, s)
}

// pairsAre compares every pair that came along with what it was there.
func (v *mover) pairsAre(t *testing.T, s *scripts, m *theirs) {
	t.Helper()
	n := 0
	for c, err := range v.c.Certificates(t.Context(), client.CertificateQuery{State: "all"}) {
		if err != nil {
			t.Fatal(err)
		}
		if c.VersionID == 0 {
			continue
		}
		got := s.send("GET", "/domain/"+c.Names[0]+"/config.json", "")
		for _, key := range []string{"x509_certificate__latest_single", "x509_certificate__latest_multi"} {
			id, ok := field(got, key+".id").(string)
			if !ok {
				continue
			}
			n++
			pair := m.Pair(id)
			if fmt.Sprint(field(got, key+".private_key.id")) != pair.KeyID || m.DomainName(fmt.Sprint(field(got, "Domain.id"))) != c.Names[0] || fmt.Sprint(field(got, key+".chain.id")) != pair.ChainID || field(got, key+".certificate.pem") != pair.CertPEM {
				t.Errorf("%s: %v of key %v, chain %v and domain %v is not what it was: %+v", c.Names[0], id, field(got, key+".private_key.id"), field(got, key+".chain.id"), field(got, "Domain.id"), pair)
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d pairs were compared", n)
	}
}

// newNumbers sees that what is made here from now on has none of theirs.
func (v *mover) newNumbers(t *testing.T, s *scripts) {
	t.Helper()
	got := s.post("success", "/renewal-configuration/new.json", "domain_names_http01=new.example&acme_account_id__primary=1")
	if id, _ := field(got, "RenewalConfiguration.id").(float64); id < 1000 {
		t.Errorf("a new renewal configuration is %v", id)
	}
	p, err := v.c.Policy(t.Context(), fmt.Sprint(field(got, "RenewalConfiguration.policy")))
	if err != nil || p.Authorities[0] != "their-ca" {
		t.Errorf("account 1 is at %+v, %v", p, err)
	}
	if _, err := v.DB.Domain(t.Context(), certfleet.DefaultTenant, mustName(t, "new.example")); err != nil {
		t.Error(err)
	}
}
