package app_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
	minnow "github.com/certfleet/certfleet/internal/porter/petersslers/petersslerstest"
	"github.com/certfleet/certfleet/internal/takeover"
)

const month = 30 * 24 * time.Hour

// theirs is a database of peter_sslers with an account that its CA knows, and much
// that is broken.
type theirs struct {
	*minnow.Minnow
	url string // of the account at the CA
}

// theirFleet fills a database; ca is where its first account is.
func theirFleet(t *testing.T, ca *pebble.CA) *theirs {
	t.Helper()
	m := &theirs{Minnow: minnow.New(filepath.Join(t.TempDir(), "ssl_minnow.sqlite"))}
	t.Cleanup(m.Close)
	m.accounts(t, ca)
	m.settings()
	m.renewals(t)
	m.faults(t)
	return m
}

// keyMade is when the keys of certificates were made there, as it writes times.
const keyMade = "2026-02-03 04:05:06.000007"

func (m *theirs) accounts(t *testing.T, ca *pebble.CA) {
	t.Helper()
	own := m.Server("their-ca", ca.DirectoryURL, string(ca.TrustPEM))
	le := m.Server("letsencrypt-v2", "https://acme-v02.api.letsencrypt.org/directory/", "")
	m.Server("buypass", "https://api.buypass.com/acme/directory", "")
	key, text := minnow.AccountKey(certfleet.P256)
	m.url = register(t, ca, key)
	m.Account(own, "Büro", m.url, text, minnow.Row{"contact": "mailto:tls@certfleet.test", "order_default_private_key_technology_id": 5, "order_default_private_key_cycle_id": 7}) // 1
	_, text = minnow.AccountKey(certfleet.RSA2048)
	m.Account(le, "le", "https://acme-v02.api.letsencrypt.org/acme/acct/17", text, minnow.Row{"order_default_private_key_technology_id": 1, "order_default_private_key_cycle_id": 1, "order_default_acme_profile": "shortlived"}) // 2
	m.Account(le, "gone", "https://acme-v02.api.letsencrypt.org/acme/acct/18", text, minnow.Row{"timestamp_deactivated": "2025-01-01 00:00:00.000000", "is_active": false})                                                       // 3
	m.Account(le, "off", "https://acme-v02.api.letsencrypt.org/acme/acct/19", text, minnow.Row{"is_active": false})                                                                                                               // 4
	m.Account(own, "locked", ca.DirectoryURL+"/5", encryptedKey, nil)                                                                                                                                                             // 5
	m.Account(99, "orphan", "https://ca.invalid/6", text, nil)                                                                                                                                                                    // 6
	keyless := m.Account(own, "", ca.DirectoryURL+"/7", text, nil)                                                                                                                                                                // 7
	m.Exec("UPDATE acme_account_key SET is_active = NULL WHERE acme_account_id = ?", keyless)
}

// register makes an account at a CA as the original would have.
func register(t *testing.T, ca *pebble.CA, key crypto.Signer) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.TrustPEM)
	c := acme.New(acme.Options{DirectoryURL: ca.DirectoryURL, HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}})
	got, err := c.Register(t.Context(), key, acme.Registration{TermsAgreed: true, Contact: []string{"mailto:tls@certfleet.test"}})
	if err != nil {
		t.Fatal(err)
	}
	return got.URL
}

func (m *theirs) settings() {
	m.Exec("UPDATE system_configuration SET is_configured = 1, acme_account_id__primary = 1, acme_account_id__backup = 2 WHERE name = 'global'")
	m.Exec("UPDATE system_configuration SET is_configured = 1, acme_account_id__primary = 1, private_key_technology_id__primary = 99, private_key_cycle_id__primary = 8, acme_profile__primary = '', acme_account_id__backup = 0 WHERE name = 'autocert'")
	m.Insert("enrollment_factory", minnow.Row{"name": "whitelabel", "label_template": "{NIAMOD}", "domain_template_http01": "{DOMAIN}, www.{DOMAIN}", "acme_challenge_duplicate_strategy_id": 1, "acme_account_id__primary": 1, "private_key_technology_id__primary": 4, "private_key_cycle_id__primary": 7, "note": "customers' own"})
	m.Insert("enrollment_factory", minnow.Row{"name": "empty", "label_template": "{NIAMOD}", "acme_account_id__primary": 1, "private_key_technology_id__primary": 4, "private_key_cycle_id__primary": 7})
	for _, n := range []string{"always-fail.example.com", "bücher.example", "not a name"} {
		m.Insert("domain_blocklisted", minnow.Row{"domain_name": n})
	}
	server := m.Insert("acme_dns_server", minnow.Row{"api_url": "https://acme-dns.example", "domain": "auth.example"})
	for i, n := range []string{"wild.example", "other.example"} {
		m.Insert("acme_dns_server_account", minnow.Row{"acme_dns_server_id": server, "domain_id": m.Domain(n), "is_active": i == 0, "username": "u", "password": "acme-dns-password", "fulldomain": "x.auth.example", "subdomain": "x", "allowfrom": "[]"})
	}
	root, _, _ := m.CA.PEM()
	pref := m.Insert("x509_certificate_trust_preference_policy", minnow.Row{"name": "global"})
	m.Insert("x509_certificate_trust_preference_policy_item", minnow.Row{"x509_certificate_trust_preference_policy_id": pref, "slot_id": 1, "x509_certificate_trusted_id": m.Insert("x509_certificate_trusted", minnow.Row{"cert_pem": string(root)})})
	m.Insert("rate_limited", nil)
}

func (m *theirs) renewals(t *testing.T) {
	t.Helper()
	n, set := m.Renewal(1, minnow.Row{"label": "shop", "note": "the shop\nof Ann", "private_key_cycle_id__primary": 7, "acme_account_id__backup": 2, "private_key_technology_id__backup": 0, "private_key_cycle_id__backup": 1, "acme_profile__backup": "@"},
		minnow.By("shop.example"), minnow.By("www.shop.example")) // 1
	shop, _ := m.Issue(n, set, minnow.Primary, month, nil, "shop.example", "www.shop.example")
	m.Alternate(shop, "garbage")
	m.Issue(n, set, minnow.Backup, month, nil, "shop.example", "www.shop.example")
	m.Issue(n, set, minnow.Primary, month/2, minnow.Row{"is_active": false}, "shop.example", "www.shop.example")
	n, set = m.Renewal(1, minnow.Row{"label": "example.customer", "enrollment_factory_id__via": 1, "private_key_cycle_id__primary": 7}, minnow.By("customer.example")) // 2
	m.Issue(n, set, minnow.Primary, month, nil, "customer.example")
	m.Exec("UPDATE private_key SET timestamp_created = ? WHERE id > 0", keyMade)
	m.Renewal(1, minnow.Row{"acme_challenge_duplicate_strategy_id": 2}, minnow.By("*.wild.example", minnow.DNS01), minnow.By("wild.example", minnow.HTTP01, minnow.DNS01)) // 3
	n, set = m.Renewal(1, minnow.Row{"is_active": false}, minnow.By("forked.example"))                                                                                     // 4
	m.Issue(n, set, minnow.Primary, month, nil, "forked.example")
	m.Renewal(1, nil, minnow.By("münchen.example")) // 5
	m.Issue(0, m.Set("imported.example"), minnow.Imported, month, nil, "imported.example")
	m.Issue(0, m.Set("imported.example"), minnow.Imported, month/3, nil, "imported.example")
	m.Issue(0, m.Set("old.example"), minnow.Imported, -time.Minute, nil, "old.example")
}

func (m *theirs) faults(t *testing.T) {
	t.Helper()
	m.Renewal(1, minnow.Row{"label": "orphan", "uniquely_challenged_fqdn_set_id": 999}, minnow.By("orphan.example")) // 6
	m.Renewal(42, minnow.Row{"label": "stranger"}, minnow.By("stranger.example"))                                    // 7
	n, set := m.Renewal(1, minnow.Row{"label": "garbled"}, minnow.By("garbled.example"))                             // 8
	m.Issue(n, set, minnow.Primary, month, nil, "garbled.example")                                                   // whole
	m.Issue(n, set, minnow.Primary, 2*month, minnow.Row{"cert_pem": "-----BEGIN CERTIFICATE-----\nMIIB\n"}, "garbled.example")
	n, set = m.Renewal(1, minnow.Row{"label": "unfit"}, minnow.By("unfit.example")) // 9
	_, other := minnow.AccountKey(certfleet.P256)
	m.Issue(n, set, minnow.Primary, month, minnow.Row{"private_key_id": m.Insert("private_key", minnow.Row{"key_pem": other})}, "unfit.example")
	n, set = m.Renewal(1, minnow.Row{"label": "locked"}, minnow.By("locked.example")) // 10
	m.Issue(n, set, minnow.Primary, month, minnow.Row{"private_key_id": m.Insert("private_key", minnow.Row{"key_pem": encryptedKey})}, "locked.example")
	m.Renewal(1, minnow.Row{"label": "forbidden"}, minnow.By("always-fail.example.com")) // 11
	m.Renewal(1, minnow.Row{"label": "kept"}, minnow.By("here.example"))                 // 12
	n, set = m.Renewal(1, minnow.Row{"label": "lost"}, minnow.By("lost.example"))        // 13
	lost, _ := m.Issue(n, set, minnow.Primary, month, nil, "lost.example")
	m.Exec("UPDATE private_key SET is_compromised = 1 WHERE id = (SELECT private_key_id FROM x509_certificate WHERE id = ?)", lost)
	m.Issue(n, set, minnow.Primary, month, minnow.Row{"is_revoked": true}, "lost.example")
	n, set = m.Renewal(1, minnow.Row{"label": "mixed"}, minnow.By("mixed.example")) // 14
	m.Issue(n, set, minnow.Primary, month, nil, "another.example")
}

// encryptedKey is what openssl writes; nobody has its passphrase.
const encryptedKey = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBA=\n-----END ENCRYPTED PRIVATE KEY-----\n"

// mover takes such a database over.
type mover struct {
	*fleet
	c   *client.Client
	src *petersslers.DB
}

func newMover(t *testing.T, f *fleet, m *theirs) *mover {
	t.Helper()
	src, err := petersslers.Open(t.Context(), m.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return &mover{f, offline(f), src}
}

func (m *mover) draw(t *testing.T, opt takeover.Options) *takeover.Plan {
	t.Helper()
	p, err := takeover.Draw(t.Context(), m.src, m.c, time.Now(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func carry(t *testing.T, p *takeover.Plan) {
	t.Helper()
	if err := p.Carry(t.Context(), func(*takeover.Item) {}); err != nil {
		t.Fatal(err)
	}
	for _, i := range p.Items {
		if i.State == takeover.Failed || i.State == takeover.Add {
			t.Errorf("%s %s %d: %s, %s (%s)", i.Noun, i.Label, i.ID, i.State, i.Reason, i.Advice)
		}
	}
}

// wants compares a plan with lines such as "skip account gone: it is deactivated".
func wants(t *testing.T, p *takeover.Plan, lines ...string) {
	t.Helper()
	var all []string
	for _, i := range p.Items {
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s %s %s: %s", i.State, i.Noun, i.Label, i.Reason), ": "))
	}
	have := "\n" + strings.Join(all, "\n") + "\n"
	for _, l := range lines {
		if !strings.Contains(have, "\n"+l) {
			t.Errorf("the plan lacks %q", l)
		}
	}
	if t.Failed() {
		t.Log(have)
	}
}

func TestADatabaseOfPeterSSLersMovesIn(t *testing.T) {
	f := start(t, pebble.Options{})
	second, err := pebble.Start(pebble.Options{HTTPPort: f.httpPort(t), AlternateRoots: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close() })
	m := theirFleet(t, second)
	v := newMover(t, f, m)
	f.want(t, "default", nil, "here.example")
	if _, err := v.c.AddAuthority(t.Context(), client.Authority{Label: "letsencrypt", DirectoryURL: "https://acme-v02.api.letsencrypt.org/directory"}); err != nil {
		t.Fatal(err)
	}

	p := v.draw(t, takeover.Options{})
	wants(t, p, "add authority their-ca: "+second.DirectoryURL, "there authority letsencrypt", "skip authority buypass: no account is at it",
		"add account Büro\n", "add account le\n", "skip account gone: it is deactivated at the CA", "skip account off: it is switched off there", "skip account locked: its key cannot be read: the private key is encrypted",
		"skip account orphan: its ACME server 99 is not there", "skip account peter_sslers-7: its key cannot be read: it has no key",
		"add policy their-ca-p256-single_use\n", "add policy their-ca-p256-single_use__reuse_1_year-backup-letsencrypt-account-profile-account_default\n",
		"add default policy global", "add default policy autocert", "skip default policy certificate-if-needed: it was never configured",
		"skip acme-dns account wild.example: no solver of type acmedns is configured for https://acme-dns.example", "skip acme-dns account other.example: it is switched off there",
		"add blocked name always-fail.example.com", "add blocked name xn--bcher-kva.example", "skip blocked name not a name",
		"add factory whitelabel", "skip factory empty: the factory cannot be used",
		"add certificate shop\n", "add certificate example.customer\n", "add certificate wild.example\n", "add certificate xn--mnchen-3ya.example\n", "skip certificate 1 renewal configurations: they are switched off there",
		"add certificate forked.example", "add certificate imported.example",
		"skip certificate orphan: the rows of its names are not there", "skip certificate stranger: its account 42 for the primary certificate is not there",
		"skip certificate always-fail.example.com: always-fail.example.com is on the blocklist", "skip certificate here.example: certificate here.example keeps here.example here already",
		"add certificate garbled", "add certificate unfit", "add certificate locked", "add certificate lost", "add certificate mixed",
		"add version shop: valid until", "add backup version shop: valid until", "add version garbled: valid until",
		"skip version x509_certificate 10: 1 of 2 PEM blocks cannot be read", "skip version x509_certificate 11: the private key does not fit", "skip version x509_certificate 12: the private key is encrypted",
		"skip version x509_certificate 13: its key is compromised", "skip version x509_certificate 14: it is revoked", "skip version x509_certificate 15: it is for other names",
		"skip other chain preference Fixture CA: peter_sslers has it from the start and never follows it", "skip other 1 answers of CAs that a limit was reached")
	if got, err := v.c.Policies(t.Context()); err != nil || len(got) != 1 {
		t.Fatalf("a plan alone changed the policies: %d, %v", len(got), err)
	}
	carry(t, p)
	v.looks(t)

	again := v.draw(t, takeover.Options{})
	if n := again.Count(takeover.Add); n != 0 {
		wants(t, again, "nothing to add")
	}
	v.renews(t, m, second)
}

// looks sees what became of it through the API.
func (v *mover) looks(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	shop, err := v.c.Certificate(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if shop.State != "paused" || shop.External != "peter_sslers" || shop.VersionID == 0 || shop.Labels[takeover.RenewalLabel] != "1" || shop.Labels["peter_sslers.note"] != "the shop of Ann" || !shop.DueAt.IsZero() {
		t.Errorf("shop: %+v", shop)
	}
	if b, err := v.c.BackupOf(ctx, "shop"); err != nil || b.VersionID == 0 || b.VersionID == shop.VersionID {
		t.Errorf("the backup of shop: %+v, %v", b, err)
	}
	policy, err := v.c.Policy(ctx, shop.Policy)
	if err != nil || policy.KeyCycle != "single_use__reuse_1_year" || policy.KeyType != "p256" || policy.Authorities[0] != "their-ca" || policy.Backup == nil || policy.Backup.Authority != "letsencrypt" || policy.Backup.Profile != "@" {
		t.Errorf("its policy: %+v, %v", policy, err)
	}
	if c, err := v.c.Certificate(ctx, "example.customer"); err != nil || c.Labels["factory"] != "whitelabel" {
		t.Errorf("what a factory made: %+v, %v", c, err)
	}
	if made := v.keyOf(t, shop); made.CreatedAt.UTC().Format("2006-01-02 15:04:05") != keyMade[:19] || made.Origin != "imported" {
		t.Errorf("the key of shop: %+v; want it as old as it is", made)
	}
	if c, err := v.c.Certificate(ctx, "xn--mnchen-3ya.example"); err != nil || c.VersionID != 0 || c.State != "paused" || c.External != "" {
		t.Errorf("one without a version: %+v, %v", c, err)
	}
	if d, err := v.c.Domain(ctx, "*.wild.example"); err != nil || d.Challenge != "dns-01" || d.Solver != "" {
		t.Errorf("wildcard: %+v, %v", d, err)
	}
	row, err := v.DB.Domain(ctx, 0, mustName(t, "wild.example"))
	if err != nil || row.Challenge != certfleet.HTTP01 {
		t.Errorf("first challenge: %+v, %v", row, err)
	} else if s, err := v.DB.SecondProof(ctx, row.ID); err != nil || s.Challenge != certfleet.DNS01 {
		t.Errorf("second challenge: %+v, %v", s, err)
	}
	for _, a := range []struct{ label, authority, cycle, typ, profile string }{{"Büro", "their-ca", "single_use__reuse_1_year", "p384", ""}, {"le", "letsencrypt", "", "rsa2048", "shortlived"}} {
		got, err := v.c.Account(ctx, a.label)
		if err != nil || got.State != "valid" || got.Authority != a.authority || got.Defaults == nil || *got.Defaults != (client.AccountDefaults{KeyCycle: a.cycle, KeyType: a.typ, Profile: a.profile}) {
			t.Errorf("account %s: %+v, %v", a.label, got, err)
		}
	}
	if d, err := v.c.Defaults(ctx); err != nil || d.Defaults[0].Policy == "" || d.Defaults[1].Policy == "" || d.Defaults[2].Policy != "" {
		t.Errorf("defaults: %+v, %v", d, err)
	}
	if e, err := v.c.Enrolled(ctx, "whitelabel", "next.example"); err != nil || e.Label != "example.next" || len(e.Names) != 2 || e.Policy != "their-ca-p256-single_use__reuse_1_year" {
		t.Errorf("factory: %+v, %v", e, err)
	}
	w, err := v.c.Why(ctx, "shop.example")
	if err != nil || !strings.Contains(w.NextStep, "certfleet import peter_sslers") {
		t.Errorf("why: %+v, %v", w, err)
	}
	if garbled, err := v.c.Certificate(ctx, "garbled"); err != nil || time.Until(garbled.NotAfter) > month {
		t.Errorf("the whole one in place of the garbled: %+v, %v", garbled, err)
	}
}

// renews resumes a certificate and has it renewed by the account that came along.
func (v *mover) renews(t *testing.T, m *theirs, ca *pebble.CA) {
	t.Helper()
	v.run(t)
	before, err := v.c.Certificate(t.Context(), "example.customer")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.c.ResumeCertificate(t.Context(), "example.customer"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.c.RenewCertificate(t.Context(), "example.customer", client.Renewal{}); err != nil {
		t.Fatal(err)
	}
	var last *client.Certificate
	until(t, "a renewal", func() (bool, string) {
		if last, err = v.c.Certificate(t.Context(), "example.customer"); err != nil {
			return false, err.Error()
		}
		return last.VersionID != before.VersionID, last.Problem
	})
	got, err := v.c.Version(t.Context(), itoa(int(last.VersionID)))
	if err != nil || !strings.Contains(got.Issuer, "Pebble") {
		t.Errorf("the new version: %+v, %v", got, err)
	}
	o, err := v.c.Order(t.Context(), got.OrderID)
	if err != nil {
		t.Fatal(err)
	}
	a, err := v.c.Account(t.Context(), itoa(int(o.AccountID)))
	if err != nil || a.URL != m.url {
		t.Errorf("ordered by %+v, %v; want the account %s", a, err, m.url)
	}
	if old, err := v.c.Version(t.Context(), itoa(int(before.VersionID))); err != nil || old.KeyID != got.KeyID {
		t.Errorf("the key of a certificate that keeps it for a year is another: %+v, %v", old, err)
	}
	// The plan of a repeated import leaves what is renewed here alone.
	m.renewedThere(t)
	p := v.draw(t, takeover.Options{})
	wants(t, p, "skip version example.customer: its certificate is renewed here", "add version shop: valid until")
	carry(t, p)
}

// renewedThere lets the original renew two certificates.
func (m *theirs) renewedThere(t *testing.T) {
	t.Helper()
	m.Issue(1, m.Set("shop.example", "www.shop.example"), minnow.Primary, 3*month, nil, "shop.example", "www.shop.example")
	m.Issue(2, m.Set("customer.example"), minnow.Primary, 300*month, nil, "customer.example")
}

// httpPort is where the node answers http-01.
func (f *fleet) httpPort(t *testing.T) int {
	t.Helper()
	_, port, err := net.SplitHostPort(string(f.Config.Listen.HTTP01))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustName(t *testing.T, s string) certfleet.Name {
	t.Helper()
	n, err := certfleet.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (v *mover) keyOf(t *testing.T, c *client.Certificate) *client.Key {
	t.Helper()
	got, err := v.c.Version(t.Context(), itoa(int(c.VersionID)))
	if err != nil {
		t.Fatal(err)
	}
	k, err := v.c.Key(t.Context(), itoa(int(got.KeyID)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What is only by choice: expired certificates, preferred chains, and to be renewed
// here at once.
func TestADatabaseMovesInByChoice(t *testing.T) {
	f := start(t, pebble.Options{})
	m := &theirs{Minnow: minnow.New(filepath.Join(t.TempDir(), "ssl_minnow.sqlite"))}
	t.Cleanup(m.Close)
	_, key := minnow.AccountKey(certfleet.P256)
	m.Account(m.Server("ca", f.ca.DirectoryURL, ""), "theirs", "https://ca.example/acct/1", key, nil)
	m.settings()
	n, set := m.Renewal(1, minnow.Row{"label": "12"}, minnow.By("live.example"))
	m.Issue(n, set, minnow.Primary, month, minnow.Row{"is_active": false}, "live.example")
	m.Issue(n, set, minnow.Primary, -time.Minute, nil, "live.example")
	n, set = m.Renewal(1, minnow.Row{"label": "dead/end"}, minnow.By("dead.example"))
	m.Issue(n, set, minnow.Primary, -time.Minute, nil, "dead.example")
	m.Issue(0, m.Set("old.example"), minnow.Imported, -time.Minute, nil, "old.example")
	v := newMover(t, f, m)
	p := v.draw(t, takeover.Options{Expired: true, Chains: true, Manage: true, Labels: map[string]string{"from": "there"}})
	wants(t, p, "add certificate live.example\n", "add certificate dead-end\n", "add certificate old.example\n", "add version live.example: valid until "+time.Now().Add(month).UTC().Format("2006"), "add version dead-end", "there other chain preference Fixture CA")
	carry(t, p)
	for _, label := range []string{"live.example", "dead-end", "old.example"} {
		c, err := v.c.Certificate(t.Context(), label)
		if err != nil || c.State != "active" || c.External != "" || c.VersionID == 0 || c.DueAt.IsZero() || c.Labels["from"] != "there" {
			t.Errorf("%s: %+v, %v", label, c, err)
			continue
		}
		if live := c.NotAfter.After(time.Now()); live != (label == "live.example") {
			t.Errorf("%s is valid until %s", label, c.NotAfter)
		}
		policy, err := v.c.Policy(t.Context(), c.Policy)
		if err != nil || label != "old.example" && policy.ChainIssuer != "Fixture CA" {
			t.Errorf("%s: policy %+v, %v", label, policy, err)
		}
	}
	if again := v.draw(t, takeover.Options{Expired: true, Chains: true, Manage: true}); again.Count(takeover.Add) != 0 {
		wants(t, again, "nothing to add")
	}
}

// An import that ends in its middle goes on where it was.
func TestAnInterruptedMoveGoesOn(t *testing.T) {
	f := start(t, pebble.Options{})
	m := &theirs{Minnow: minnow.New(filepath.Join(t.TempDir(), "ssl_minnow.sqlite"))}
	t.Cleanup(m.Close)
	_, key := minnow.AccountKey(certfleet.P256)
	m.Account(m.Server("ca", f.ca.DirectoryURL, ""), "theirs", "https://ca.example/acct/1", key, nil)
	const many = 40
	for i := range many {
		name := fmt.Sprintf("n%d.example", i)
		n, set := m.Renewal(1, nil, minnow.By(name, minnow.HTTP01, minnow.DNS01))
		m.Issue(n, set, minnow.Primary, month, nil, name)
	}
	v := newMover(t, f, m)
	runs := 0
	for left := 1; left > 0; runs++ {
		p := v.draw(t, takeover.Options{})
		if left = p.Count(takeover.Add); left == 0 {
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := p.Carry(ctx, func(*takeover.Item) {
			if n++; n == 17 {
				cancel()
			}
		})
		cancel()
		if err == nil && p.Count(takeover.Add) > 0 || p.Count(takeover.Failed) > 0 || runs > 20 {
			t.Fatalf("run %d: %v, %+v", runs, err, p.Tallies())
		}
	}
	if runs < 3 {
		t.Errorf("it was through after %d runs, and was interrupted in none", runs)
	}
	whole := 0
	for c, err := range v.c.Certificates(t.Context(), client.CertificateQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if c.VersionID != 0 && c.External == "peter_sslers" {
			whole++
		}
	}
	if whole != many {
		t.Errorf("%d certificates came with their versions, want %d", whole, many)
	}
}
