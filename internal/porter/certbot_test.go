package porter

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

func put(t *testing.T, path string, body []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

// lineage lays out one certificate as certbot does: numbered files in archive,
// links to them in live, settings in renewal.
func lineage(t *testing.T, dir, name string, number int, settings string, names ...string) {
	t.Helper()
	i := issue(t, names...)
	for file, body := range map[string][]byte{"fullchain": i.ChainPEM, "privkey": i.KeyPEM} {
		n := fmt.Sprintf("%s%d.pem", file, number)
		put(t, filepath.Join(dir, "archive", name, n), body)
		os.MkdirAll(filepath.Join(dir, "live", name), 0o700)
		link := filepath.Join(dir, "live", name, file+".pem")
		os.Remove(link)
		if err := os.Symlink("../../archive/"+name+"/"+n, link); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "renewal", name+".conf"), []byte("# renew_before_expiry = 30 days\nversion = 2.9.0\narchive_dir = /etc/letsencrypt/archive/"+name+"\n\n[renewalparams]\naccount = 0123abc\nserver = https://acme-v02.api.letsencrypt.org/directory\n"+settings))
}

func byName(t *testing.T, dir string) map[string]Lineage {
	t.Helper()
	all, err := ReadCertbot(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Lineage{}
	for _, l := range all {
		out[l.Name] = l
	}
	return out
}

func TestCertbotLineagesComeWithTheirSettings(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "live", "README"), []byte("not a lineage"))
	lineage(t, dir, "web", 1, "authenticator = webroot\nkey_type = ecdsa\nwebroot_path = /var/www,\n[[webroot_map]]\nauthenticator = /var/www\n", "web.example.com", "www.web.example.com")
	lineage(t, dir, "wild", 1, "authenticator = dns-route53\nreuse_key = True\npreferred_profile = shortlived\n", "*.example.org")
	lineage(t, dir, "manual", 1, "authenticator = manual\npref_challs = dns-01, http-01\n", "m.example.com")
	lineage(t, dir, "odd", 1, "authenticator = some-plugin\npref_challs = None\n", "odd.example.com")
	got := byName(t, dir)
	for name, want := range map[string]Lineage{
		"web":    {Challenge: certfleet.HTTP01, Authenticator: "webroot"},
		"wild":   {Challenge: certfleet.DNS01, Authenticator: "dns-route53", ReuseKey: true, Profile: "shortlived"},
		"manual": {Challenge: certfleet.DNS01, Authenticator: "manual"},
		"odd":    {Authenticator: "some-plugin"},
	} {
		l := got[name]
		if !l.Whole() || l.Challenge != want.Challenge || l.Authenticator != want.Authenticator || l.ReuseKey != want.ReuseKey || l.Profile != want.Profile ||
			l.KeyType != certfleet.P256 || l.Server != "https://acme-v02.api.letsencrypt.org/directory" || l.Account != "0123abc" || l.NotAfter.IsZero() {
			t.Errorf("%s: got %+v", name, l)
		}
		if _, _, err := pki.ParsePair(l.ChainPEM, l.KeyPEM); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if (len(l.Problems) > 0) != (name == "odd") {
			t.Errorf("%s: problems %q", name, l.Problems)
		}
	}
	if len(got) != 4 || strings.Join(certfleet.Strings(got["web"].Names), " ") != "web.example.com www.web.example.com" {
		t.Errorf("got %d lineages, web is for %v", len(got), got["web"].Names)
	}
}

func TestBrokenLineagesAreListedWithTheirProblems(t *testing.T) {
	dir := t.TempDir()
	const http = "authenticator = standalone\n"
	lineage(t, dir, "good", 1, http, "good.example.com")
	lineage(t, dir, "nolive", 9, http, "old.example.com")
	lineage(t, dir, "nolive", 10, http, "new.example.com")
	os.RemoveAll(filepath.Join(dir, "live", "nolive"))
	lineage(t, dir, "noconf", 1, http, "noconf.example.com")
	os.Remove(filepath.Join(dir, "renewal", "noconf.conf"))
	lineage(t, dir, "mixed", 1, http, "mixed.example.com")
	put(t, filepath.Join(dir, "archive", "mixed", "privkey1.pem"), issue(t, "x.example.com").KeyPEM)
	put(t, filepath.Join(dir, "renewal", "gone.conf"), []byte("[renewalparams]\n"+http+"key_type = rsa\nrsa_key_size = 4096\n"))
	put(t, filepath.Join(dir, "renewal", "binary.conf"), []byte{0, 1, 2, 0xff, '=', '\n', '['})
	got := byName(t, dir)
	for name, want := range map[string]string{"nolive": "number 10", "noconf": "renewal settings", "mixed": "does not fit", "gone": "no certificate", "binary": "no certificate"} {
		if !strings.Contains(strings.Join(got[name].Problems, "; "), want) {
			t.Errorf("%s: problems %q, want %q", name, got[name].Problems, want)
		}
	}
	if !got["nolive"].Whole() || got["nolive"].Names[0].String() != "new.example.com" || !got["noconf"].Whole() || got["mixed"].Whole() || got["gone"].KeyType != certfleet.RSA4096 {
		t.Errorf("got %+v", got)
	}
	if !got["good"].Whole() || len(got["good"].Problems) > 0 {
		t.Errorf("the broken ones spoiled the good one: %q", got["good"].Problems)
	}
}

func TestWhatIsNoCertbotFolderIsRefused(t *testing.T) {
	if _, err := ReadCertbot(t.TempDir()); certfleet.AdviceOf(err) == "" {
		t.Errorf("lineages: got %v", err)
	}
	if _, err := ReadCertbotAccounts(t.TempDir()); certfleet.AdviceOf(err) == "" {
		t.Errorf("accounts: got %v", err)
	}
}

func TestCertbotAccountsComeWithTheirKeys(t *testing.T) {
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwk, _ := json.Marshal(jose.JSONWebKey{Key: key})
	at := filepath.Join(dir, "accounts", "acme-v02.api.letsencrypt.org", "directory", "0123abc")
	put(t, filepath.Join(at, "private_key.json"), jwk)
	put(t, filepath.Join(at, "regr.json"), []byte(`{"body": {"contact": ["mailto:tls@example.com"]}, "uri": "https://acme-v02.api.letsencrypt.org/acme/acct/7"}`))
	put(t, filepath.Join(at, "meta.json"), []byte(`{"creation_dt": "2024-01-02T03:04:05Z", "creation_host": "web1"}`))
	broken := filepath.Join(dir, "accounts", "ca.example.com:8443", "acme", "directory", "9")
	put(t, filepath.Join(broken, "private_key.json"), []byte(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`))
	os.Symlink("acme-v02.api.letsencrypt.org", filepath.Join(dir, "accounts", "acme-v01.api.letsencrypt.org"))

	got, err := ReadCertbotAccounts(dir)
	if err != nil || len(got) != 2 {
		t.Fatalf("got %d accounts, %v", len(got), err)
	}
	a, b := got[0], got[1]
	k, err := pki.ParseKey(a.KeyPEM)
	if err != nil || pki.SPKI(k) != pki.SPKI(key) || a.KeyType != certfleet.RSA2048 || a.ID != "0123abc" || a.Server != "https://acme-v02.api.letsencrypt.org/directory" ||
		a.URL != "https://acme-v02.api.letsencrypt.org/acme/acct/7" || a.Contact[0] != "mailto:tls@example.com" || a.Host != "web1" || len(a.Problems) > 0 {
		t.Errorf("got %+v, %v", a, err)
	}
	if len(b.Problems) != 3 || len(b.KeyPEM) > 0 || b.Server != "https://ca.example.com:8443/acme/directory" {
		t.Errorf("got %+v", b)
	}
	if one, err := ReadCertbotAccount(at + "/"); err != nil || one.ID != a.ID || one.URL != a.URL || one.Server != "" || !slices.Equal(one.Contact, a.Contact) {
		t.Errorf("by its own folder: %+v, %v", one, err)
	}
	if _, err := ReadCertbotAccount(dir); certfleet.AdviceOf(err) == "" {
		t.Errorf("a folder that is no account's: %v", err)
	}
}

func TestAccountKeysComeInEveryForm(t *testing.T) {
	for _, kt := range []certfleet.KeyType{certfleet.P256, certfleet.P384, certfleet.RSA2048} {
		key, err := pki.GenerateKey(kt)
		if err != nil {
			t.Fatal(err)
		}
		jwk, _ := json.Marshal(jose.JSONWebKey{Key: key})
		pem, _ := pki.MarshalKey(key)
		for form, in := range map[string][]byte{"JWK": jwk, "PEM": pem} {
			out, kind, err := ParseAccountKey(in)
			if err != nil || kind != kt || string(out) != string(pem) {
				t.Errorf("%s as %s: %s, %v", kt, form, kind, err)
			}
		}
	}
	for _, in := range []string{"", "{}", "null", `{"kty":"oct","k":"aHVudGVyMg"}`, `"hunter2"`} {
		if _, _, err := ParseAccountKey([]byte(in)); certfleet.AdviceOf(err) == "" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v", in, err)
		}
	}
}
