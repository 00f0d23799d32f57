package fakeca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
)

// raw signs by hand, so that each part can be wrong.
type raw struct {
	header  map[string]any
	payload string
	key     crypto.Signer
	spoil   func([]byte) []byte // of the signature
	kind    string              // content type
}

var b64 = base64.RawURLEncoding

func (k *kit) post(url string, r raw) (status int, problem string) {
	k.Helper()
	head, _ := json.Marshal(r.header)
	input := b64.EncodeToString(head) + "." + b64.EncodeToString([]byte(r.payload))
	sum := sha256.Sum256([]byte(input))
	sig := make([]byte, 64)
	switch key := r.key.(type) {
	case *ecdsa.PrivateKey:
		x, y, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			k.Fatal(err)
		}
		x.FillBytes(sig[:32])
		y.FillBytes(sig[32:])
	case *rsa.PrivateKey:
		sig, _ = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	}
	if r.spoil != nil {
		sig = r.spoil(sig)
	}
	body, _ := json.Marshal(map[string]string{"protected": b64.EncodeToString(head), "payload": b64.EncodeToString([]byte(r.payload)), "signature": b64.EncodeToString(sig)})
	return k.send(url, r.kind, body)
}

func (k *kit) send(url, kind string, body []byte) (status int, problem string) {
	k.Helper()
	req, _ := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	req.Header.Set("Content-Type", kind)
	a, err := k.ca.RoundTripper().RoundTrip(req)
	if err != nil {
		k.Fatal(err)
	}
	defer a.Body.Close()
	b, _ := io.ReadAll(a.Body)
	var p struct {
		Type string `json:"type"`
	}
	json.Unmarshal(b, &p)
	return a.StatusCode, trimPrefix(p.Type)
}

func trimPrefix(s string) string {
	const p = "urn:ietf:params:acme:error:"
	if len(s) > len(p) && s[:len(p)] == p {
		return s[len(p):]
	}
	return s
}

func (k *kit) nonce() string {
	k.Helper()
	req, _ := http.NewRequest(http.MethodHead, "https://fakeca.test/nonce", nil)
	a, err := k.ca.RoundTripper().RoundTrip(req)
	if err != nil {
		k.Fatal(err)
	}
	return a.Header.Get("Replay-Nonce")
}

func TestRequestsThatAreNotSignedAsTheyShouldBeAreRefused(t *testing.T) {
	const url = "https://fakeca.test/order/new"
	k := start(t, fakeca.Options{})
	other := k.register()
	used := k.nonce()
	good := func() raw {
		return raw{map[string]any{"alg": "ES256", "kid": k.acct.URL, "nonce": k.nonce(), "url": url}, `{"identifiers":[{"type":"dns","value":"a.example"}]}`, k.acct.Key, nil, "application/jose+json"}
	}
	set := func(key string, v any) func(*raw) { return func(r *raw) { r.header[key] = v } }
	for what, c := range map[string]struct {
		spoil  func(*raw)
		status int
		want   string
	}{
		"nothing wrong":     {func(*raw) {}, 201, ""},
		"a nonce used once": {set("nonce", used), 201, ""},
		"no nonce":          {set("nonce", ""), 400, "badNonce"},
		"a made-up nonce":   {set("nonce", "AAAAAAAAAAEAAAAAAAAAAA"), 400, "badNonce"},
		"another URL":       {set("url", url+"/"), 403, "unauthorized"},
		"an unknown kid":    {set("kid", "https://fakeca.test/account/99"), 400, "accountDoesNotExist"},
		"another's kid":     {set("kid", other.URL), 400, "malformed"},
		"a kid elsewhere":   {set("kid", "https://else.test/account/1"), 400, "accountDoesNotExist"},
		"jwk and kid":       {set("jwk", jose.JSONWebKey{Key: k.acct.Key.Public()}), 400, "malformed"},
		"neither":           {func(r *raw) { delete(r.header, "kid") }, 400, "malformed"},
		"alg none":          {set("alg", "none"), 400, "badSignatureAlgorithm"},
		"another alg":       {set("alg", "RS256"), 400, "malformed"},
		"a wrong signature": {func(r *raw) { r.spoil = func(b []byte) []byte { b[3] ^= 1; return b } }, 400, "malformed"},
		"a short signature": {func(r *raw) { r.spoil = func(b []byte) []byte { return b[:63] } }, 400, "malformed"},
		"another's key":     {func(r *raw) { r.key = other.Key }, 400, "malformed"},
		"plain JSON":        {func(r *raw) { r.kind = "application/json" }, 415, "malformed"},
		"no JSON inside":    {func(r *raw) { r.payload = "{" }, 400, "malformed"},
	} {
		r := good()
		c.spoil(&r)
		if status, kind := k.post(url, r); status != c.status || kind != c.want {
			t.Errorf("%s: %d %s, want %d %s", what, status, kind, c.status, c.want)
		}
		if c.status == 201 {
			if status, kind := k.post(url, r); status != 400 || kind != "badNonce" {
				t.Errorf("%s, sent again: %d %s", what, status, kind)
			}
		}
	}
	if status, kind := k.send(url, "application/jose+json", []byte(`{"protected":"e30","signature":""}`)); status != 400 || kind != "malformed" {
		t.Errorf("without a payload: %d %s", status, kind)
	}
}

func TestRSAAccountsCanSign(t *testing.T) {
	k := start(t, fakeca.Options{})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	info, err := k.client.Register(t.Context(), key, acme.Registration{TermsAgreed: true})
	if err != nil {
		t.Fatal(err)
	}
	k.acct = acme.Account{URL: info.URL, Key: key}
	k.issue(acme.OrderRequest{Names: names(t, "a.example")})
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	const url = "https://fakeca.test/account/new"
	r := raw{map[string]any{"alg": "RS256", "jwk": jose.JSONWebKey{Key: weak}, "nonce": k.nonce(), "url": url}, `{"termsOfServiceAgreed":true}`, key, nil, "application/jose+json"}
	if _, kind := k.post(url, r); kind != "badPublicKey" {
		t.Errorf("a key of 1024 bits: %s", kind)
	}
}

func TestOnlyTheOrdersNamesAreCertified(t *testing.T) {
	k := start(t, fakeca.Options{})
	o := k.order(acme.OrderRequest{Names: names(t, "a.example", "b.example")})
	_, err := k.client.Finalize(t.Context(), k.acct, o.Finalize, csr(t, newKey(t), o.Names))
	refused(t, err, "orderNotReady")
	k.answer(o)
	for what, der := range map[string][]byte{
		"other names":  csr(t, newKey(t), names(t, "a.example", "c.example")),
		"fewer names":  csr(t, newKey(t), names(t, "a.example")),
		"more names":   csr(t, newKey(t), names(t, "a.example", "b.example", "c.example")),
		"no CSR":       []byte("no CSR"),
		"a broken one": spoilLast(csr(t, newKey(t), o.Names)),
	} {
		_, err := k.client.Finalize(t.Context(), k.acct, o.Finalize, der)
		if !acme.Is(err, "badCSR") {
			t.Errorf("%s: %v", what, err)
		}
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.client.Finalize(t.Context(), k.acct, o.Finalize, csr(t, small, o.Names))
	refused(t, err, "badPublicKey")
	if got, err := k.client.Finalize(t.Context(), k.acct, o.Finalize, csr(t, newKey(t), o.Names)); err != nil || got.Status != "valid" {
		t.Errorf("after all that: %s, %v", got.Status, err)
	}
}

func spoilLast(b []byte) []byte { b[len(b)-3] ^= 1; return b }

func TestOrdersThatNoCAWouldTakeAreRefused(t *testing.T) {
	k := start(t, fakeca.Options{})
	many := make([]string, 26)
	for i := range many {
		many[i] = host(i)
	}
	for what, c := range map[string]struct {
		req  acme.OrderRequest
		want string
	}{
		"an unknown profile":     {acme.OrderRequest{Names: names(t, "a.example"), Profile: "tlsclient"}, "invalidProfile"},
		"an address in classic":  {acme.OrderRequest{Names: names(t, "192.0.2.7")}, "rejectedIdentifier"},
		"too many for tlsserver": {acme.OrderRequest{Names: names(t, many...), Profile: "tlsserver"}, "malformed"},
		"no name":                {acme.OrderRequest{}, "malformed"},
		"a date":                 {acme.OrderRequest{Names: names(t, "a.example"), NotAfter: t0}, "malformed"},
	} {
		_, err := k.client.NewOrder(t.Context(), k.acct, c.req)
		if !acme.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
}

func TestWhatIsAnothersIsNotShown(t *testing.T) {
	k := start(t, fakeca.Options{})
	o := k.order(acme.OrderRequest{Names: names(t, "a.example")})
	k.answer(o)
	o, err := k.client.Finalize(t.Context(), k.acct, o.Finalize, csr(t, newKey(t), o.Names))
	if err != nil {
		t.Fatal(err)
	}
	k.acct = k.register()
	_, err = k.client.GetOrder(t.Context(), k.acct, o.URL)
	refused(t, err, "malformed")
	_, err = k.client.GetAuthorization(t.Context(), k.acct, o.Authorizations[0])
	refused(t, err, "malformed")
	_, err = k.client.Certificate(t.Context(), k.acct, o.Certificate)
	refused(t, err, "unauthorized")
}

func TestOddPathsAreRefusedAndNothingBreaks(t *testing.T) {
	k := start(t, fakeca.Options{})
	for _, path := range []string{"", "account", "account/1/2/3", "account/0", "account/18446744073709551615", "order", "order/x", "order/9/finalize", "authz",
		"authz/9", "challenge", "challenge/9", "challenge/9/http-01", "certificate", "certificate/2a", "certificate/00/7", "renewal-info/x", "revoke", "key-change", "nowhere"} {
		url := "https://fakeca.test/" + path
		for _, payload := range []string{"", "{}", "null", `{"csr":"!","certificate":"AAAA"}`} {
			r := raw{map[string]any{"alg": "ES256", "kid": k.acct.URL, "nonce": k.nonce(), "url": url}, payload, k.acct.Key, nil, "application/jose+json"}
			if status, kind := k.post(url, r); status < 400 || status > 405 || kind == "" {
				t.Errorf("%s with %q: %d %s", path, payload, status, kind)
			}
		}
	}
}
