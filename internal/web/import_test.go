package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
)

// pair is a chain and a key for names, as another system would hand them over.
func pair(t *testing.T, life time.Duration, names ...string) (chain, key string) {
	t.Helper()
	ca, err := pki.NewCA("Test Issuer", time.Now())
	must(t, err)
	got, err := ca.IssueServer(names, life, time.Now())
	must(t, err)
	return string(got.ChainPEM), string(got.KeyPEM)
}

func body(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

func TestAnImportIsHeldAndPausedUntilItIsResumed(t *testing.T) {
	k := newKit(t).fleet()
	chain, key := pair(t, 90*24*time.Hour, "shop.example.com", "www.shop.example.com")
	var got api.Imported
	r := k.ok("POST", "/v1/import", body(t, api.Import{PEM: chain + key, Targets: []string{"edge"}}))
	r.into(t, &got)
	c := got.Certificate
	if c.Label != "shop.example.com" || c.State != "paused" || !c.DueAt.IsZero() || c.VersionID != got.Version.ID || got.Version.Origin != "imported" || got.Version.KeyID == 0 {
		t.Errorf("imported %s", r.body)
	}
	if body := k.ok("GET", "/v1/deliveries", "").body; !strings.Contains(body, `"state":"due"`) || !strings.Contains(body, `"certificate":"`) {
		t.Errorf("it is not delivered: %s", body)
	}
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key})).into(t, &got)
	if !got.Known {
		t.Error("the same import again is not known")
	}
	k.ok("POST", "/v1/targets", `{"label":"mail","type":"files","spec":{"dir":"/srv/mail"}}`)
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key, Targets: []string{"mail"}, Labels: map[string]string{"tenant": "acme"}})).into(t, &got)
	if c := got.Certificate; strings.Join(c.Targets, " ") != "edge mail" || c.Labels["tenant"] != "acme" || c.State != "paused" {
		t.Errorf("imported again with a target and a label: %+v", c)
	}
	if r := k.ok("GET", "/v1/deliveries?target=mail", ""); !strings.Contains(r.body, `"state":"due"`) {
		t.Errorf("it is not delivered to the second target: %s", r.body)
	}
	var after api.CertificateAnswer
	k.ok("POST", "/v1/certificates/shop.example.com/resume", "").into(t, &after)
	if days := time.Until(after.DueAt).Hours() / 24; days < 40 || days > 75 {
		t.Errorf("after the resume it is due in %.0f days: %s", days, after.DueReason)
	}
	var page api.Page[api.Event]
	k.ok("GET", "/v1/events?kind=version.imported", "").into(t, &page)
	if len(page.Items) != 1 {
		t.Errorf("events %+v", page.Items)
	}
}

func TestAnImportThatServesNobodyIsRefusedWithAdvice(t *testing.T) {
	k := newKit(t).fleet()
	chain, key := pair(t, time.Hour, "a.example.com")
	_, other := pair(t, time.Hour, "a.example.com")
	old, oldKey := pair(t, -time.Minute, "a.example.com")
	self, selfKey := selfMade(t, "a.example.com")
	for what, i := range map[string]api.Import{
		"a key that does not fit": {ChainPEM: chain, KeyPEM: other},
		"no key":                  {ChainPEM: chain},
		"no certificate":          {KeyPEM: key},
		"nothing":                 {},
		"expired":                 {ChainPEM: old, KeyPEM: oldKey},
		"self-signed":             {ChainPEM: self, KeyPEM: selfKey},
		"cut":                     {ChainPEM: chain[:200], KeyPEM: key},
	} {
		r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/import", body(t, i))
		if p := r.problem(t); r.status != 422 || p.Advice == "" {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	if body := k.ok("GET", "/v1/certificates", "").body; body != `{"items":[]}`+"\n" {
		t.Errorf("something was left behind: %s", body)
	}
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: old, KeyPEM: oldKey, Force: true}))
}

func selfMade(t *testing.T, name string) (chain, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	must(t, err)
	secret, err := pki.MarshalKey(k)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(secret)
}

func TestAnExportOpensTheKeyOnRecord(t *testing.T) {
	k := newKit(t).fleet()
	chain, key := pair(t, 90*24*time.Hour, "shop.example.com")
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key}))
	for format, start := range map[string]string{"pem": "-----BEGIN", "zip": "PK", "pkcs12": "\x30", "jks": "\xfe\xed\xfe\xed"} {
		r := k.do(k.tokens[certfleet.ScopeKey], "POST", "/v1/versions/1/export", `{"format":"`+format+`","password":"correct horse"}`)
		var e api.Export
		r.into(t, &e)
		if r.status != 200 || !bytes.HasPrefix(e.Data, []byte(start)) || !strings.HasPrefix(e.File, "shop.example.com") {
			t.Errorf("%s: %d %.200s", format, r.status, r.body)
		}
		if format == "pem" && (!strings.Contains(string(e.Data), strings.TrimSpace(key)) || !strings.Contains(string(e.Data), chain)) {
			t.Error("the PEM export lacks the key or the chain")
		}
	}
	if body := k.ok("GET", "/v1/keys/1", "").body; !strings.Contains(body, `"actor":"token:key","reason":"export"`) || !strings.Contains(body, `"n":4`) || !strings.Contains(body, `"versions":[1]`) {
		t.Errorf("the key's story: %s", body)
	}
	if r := k.do(k.tokens[certfleet.ScopeKey], "POST", "/v1/versions/1/export", `{"format":"pkcs12"}`); r.status != 422 || r.problem(t).Advice == "" {
		t.Errorf("pkcs12 without a password: %d %s", r.status, r.body)
	}
}

// TestNoSecretIsEverAnswered puts every secret that the API takes in, and looks
// for it in everything that the API answers without scope key.
func TestNoSecretIsEverAnswered(t *testing.T) {
	const hmac = "c2VjcmV0LWhtYWMta2V5LW9mLXRoZS1iaW5kaW5n"
	k := newKit(t).fleet()
	chain, key := pair(t, 90*24*time.Hour, "shop.example.com")
	_, accountKey := pair(t, time.Hour, "x.example.com")
	k.ok("POST", "/v1/accounts", body(t, api.NewAccount{Authority: "test-ca", Contact: []string{"tls@example.com"}, EABKeyID: "kid-1", EABHMACKey: hmac, Later: true, Agree: true}))
	k.ok("POST", "/v1/accounts", body(t, api.NewAccount{Label: "moved", Authority: "test-ca", URL: "https://ca.test/acct/1", Key: accountKey}), "Idempotency-Key", "moved")
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key, Targets: []string{"edge"}}))
	var tok api.TokenAnswer
	k.ok("POST", "/v1/tokens", `{"label":"t","scopes":["read"]}`).into(t, &tok)

	acct, err := k.db.AccountByLabel(context.Background(), 0, "test-ca")
	must(t, err)
	opened, err := k.keys.OpenEAB(context.Background(), acct)
	if err != nil || string(opened) != "secret-hmac-key-of-the-binding" {
		t.Fatalf("the binding was not kept sealed: %v", err)
	}
	var all strings.Builder
	for _, op := range operations(described()) {
		if op.method != "GET" || op.OperationID == "stream-events" {
			continue
		}
		for _, id := range []string{"1", "2"} {
			path := strings.NewReplacer("{id}", id, "{name}", "shop.example.com").Replace(op.path)
			if op.OperationID == "search" {
				path += "?q=shop"
			}
			all.WriteString(k.do(k.tokens[certfleet.ScopeAdmin], "GET", path, "").body)
		}
	}
	all.WriteString(k.do("", "GET", "/metrics", "").body + k.log.String())
	for what, marker := range map[string]string{"HMAC key": hmac, "HMAC text": "secret-hmac", "private key": pemLine(key), "account key": pemLine(accountKey), "key header": "PRIVATE KEY", "token": tok.Secret, "token hash": hashOf(tok.Secret), "any token": k.tokens[certfleet.ScopeAdmin]} {
		if strings.Contains(all.String(), marker) {
			t.Errorf("the %s was answered or logged", what)
		}
	}
	for _, want := range []string{"kid-1", "BEGIN CERTIFICATE", "moved"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q was not answered: the test looks at too little", want)
		}
	}
}

// pemLine is the first line of a PEM block's content.
func pemLine(s string) string { return strings.Split(s, "\n")[1] }
