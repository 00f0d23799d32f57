package web

import (
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/api"
)

func TestAnImportBringsAllChainsProofsAndTheAgeOfItsKey(t *testing.T) {
	k := newKit(t).fleet()
	chain, key := pair(t, 90*24*time.Hour, "shop.example.com", "www.shop.example.com")
	leaf, _, _ := strings.Cut(chain, "-----END CERTIFICATE-----\n")
	leaf += "-----END CERTIFICATE-----\n"
	made := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	ask := api.Import{ChainPEM: chain, KeyPEM: key, KeyMadeAt: made, Alternates: []string{leaf},
		Proofs: []api.EnrolledName{{Name: "www.shop.example.com", Challenge: "http-01", Second: "dns-01"}}, External: "peter_sslers"}
	var got api.Imported
	k.ok("POST", "/v1/import", body(t, ask)).into(t, &got)
	var story api.VersionStory
	k.ok("GET", "/v1/versions/1", "").into(t, &story)
	if len(story.Chains) != 2 || story.Chains[0].Issuer != "Test Issuer" || story.Chains[1].Position != 1 || story.Chains[1].PEM != leaf {
		t.Errorf("chains: %+v", story.Chains)
	}
	var held api.Key
	k.ok("GET", "/v1/keys/1", "").into(t, &held)
	if !held.CreatedAt.Equal(made) {
		t.Errorf("the key is said to be from %s, want %s", held.CreatedAt, made)
	}
	if d := k.ok("GET", "/v1/domains/www.shop.example.com", "").body; !strings.Contains(d, `"challenge":"http-01"`) {
		t.Errorf("the name that a proof is for: %s", d)
	}
	if d := k.ok("GET", "/v1/domains/shop.example.com", "").body; strings.Contains(d, `"challenge"`) {
		t.Errorf("the name that no proof is for: %s", d)
	}
	if got.Certificate.External != "peter_sslers" {
		t.Errorf("%+v", got.Certificate)
	}
}

func TestChainsAndProofsThatDoNotBelongAreRefused(t *testing.T) {
	k := newKit(t).fleet()
	chain, key := pair(t, time.Hour, "a.example.com", "*.b.example.com")
	other, _ := pair(t, time.Hour, "a.example.com")
	for name, c := range map[string]struct {
		ask  api.Import
		want string
	}{
		"another leaf":       {api.Import{Alternates: []string{other}}, "begins with another certificate"},
		"no chain":           {api.Import{Alternates: []string{"nothing"}}, "is not a certificate"},
		"another name":       {api.Import{Proofs: []api.EnrolledName{{Name: "c.example.com", Challenge: "http-01"}}}, "is not a name of the certificate"},
		"a wildcard by http": {api.Import{Proofs: []api.EnrolledName{{Name: "*.b.example.com", Challenge: "http-01"}}}, "cannot be proved by http-01"},
		"an unknown type":    {api.Import{Proofs: []api.EnrolledName{{Name: "a.example.com", Challenge: "dns-02"}}}, "is not known"},
		"said twice":         {api.Import{Challenge: "dns-01", Proofs: []api.EnrolledName{{Name: "a.example.com", Challenge: "http-01"}}}, "said twice"},
		"somebody else":      {api.Import{External: "nobody"}, "expected value to be one of"},
	} {
		c.ask.ChainPEM, c.ask.KeyPEM = chain, key
		r := k.do(k.tokens["admin"], "POST", "/v1/import", body(t, c.ask))
		if r.status/100 != 4 || !strings.Contains(r.body, c.want) || strings.Contains(r.body, "PRIVATE KEY") {
			t.Errorf("%s: %d %s, want %q", name, r.status, r.body, c.want)
		}
	}
	if all := k.ok("GET", "/v1/certificates", "").body; strings.Contains(all, "a.example.com") {
		t.Errorf("a refused import left something: %s", all)
	}
}

func TestASecondCertificateIsKeptWarmBesideTheFirst(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/authorities", `{"label":"other-ca","directory_url":"https://other.test/dir"}`)
	k.ok("POST", "/v1/policies", `{"label":"two","authorities":["test-ca"],"backup":{"authority":"other-ca"}}`)
	chain, key := pair(t, 90*24*time.Hour, "shop.example.com")
	second, secondKey := pair(t, 60*24*time.Hour, "shop.example.com")
	var first, backup api.Imported
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key, Policy: "two"})).into(t, &first)
	ask := api.Import{Label: "shop.example.com", ChainPEM: second, KeyPEM: secondKey, Backup: true}
	k.ok("POST", "/v1/import", body(t, ask)).into(t, &backup)
	if backup.Certificate.VersionID != first.Version.ID || backup.Certificate.Policy != "two" {
		t.Errorf("the first is in use no longer: %+v", backup.Certificate)
	}
	var is api.BackupState
	k.ok("GET", "/v1/certificates/shop.example.com/backup", "").into(t, &is)
	if is.VersionID != backup.Version.ID || is.Flipped || !is.NotAfter.Equal(backup.Version.NotAfter) {
		t.Errorf("the backup: %+v, want version %d", is, backup.Version.ID)
	}
	k.ok("POST", "/v1/import", body(t, ask)).into(t, &backup)
	if !backup.Known {
		t.Error("the same backup again is not known")
	}
	third, thirdKey := pair(t, time.Hour, "other.example.com")
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: third, KeyPEM: thirdKey}))
	fourth, fourthKey := pair(t, time.Hour, "other.example.com")
	for want, ask := range map[string]api.Import{
		"has no backup":   {Label: "other.example.com", ChainPEM: fourth, KeyPEM: fourthKey, Backup: true},
		"for other names": {Label: "shop.example.com", ChainPEM: fourth, KeyPEM: fourthKey, Backup: true},
		"no such":         {Label: "nothing", ChainPEM: fourth, KeyPEM: fourthKey, Backup: true},
	} {
		if r := k.do(k.tokens["admin"], "POST", "/v1/import", body(t, ask)); r.status/100 != 4 || !strings.Contains(r.body, want) {
			t.Errorf("%q: %d %s", want, r.status, r.body)
		}
	}
}
