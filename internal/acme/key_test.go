package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/certfleet/certfleet"
)

// rsaJWK is the example of RFC 7638 section 3.1, public part only.
const rsaJWK = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}`

func TestThumbprintIsTheOneOfTheRFC(t *testing.T) {
	var k jose.JSONWebKey
	if err := json.Unmarshal([]byte(rsaJWK), &k); err != nil {
		t.Fatal(err)
	}
	got, err := Thumbprint(k.Key)
	if err != nil || got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestSignatureVerifiesElsewhere(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	r2048, _ := rsa.GenerateKey(rand.Reader, 2048)
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{jose.ES256: p256, jose.ES384: p384, jose.RS256: r2048} {
		body, err := sign(key, protected{Nonce: "n", URL: "https://ca.example/x"}, []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseSigned(string(body), []jose.SignatureAlgorithm{alg})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if got, err := jws.Verify(key.Public()); err != nil || string(got) != `{"a":1}` {
			t.Errorf("%s: %s, %v", alg, got, err)
		}
	}
}

func TestKeysThatNoAccountUsesAreRefused(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	small := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	for name, pub := range map[string]any{"ed25519": ed.Public(), "p521": p521.Public(), "rsa1024": small} {
		if _, err := algorithmOf(pub); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestParseJWK(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	private, err := (jose.JSONWebKey{Key: key}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseJWK(private)
	if err != nil || !key.Equal(got) {
		t.Fatalf("%v", err)
	}
	public, _ := (jose.JSONWebKey{Key: key.Public()}).MarshalJSON()
	for name, bad := range map[string]string{
		"public": string(public), "public rsa": rsaJWK, "nothing": "", "null": "null", "list": "[]", "text": "hunter2hunter2",
		"symmetric": `{"kty":"oct","k":"aHVudGVyMmh1bnRlcjI"}`, "half": string(private[:len(private)/2]),
	} {
		k, err := ParseJWK([]byte(bad))
		if k != nil || certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v, %v", name, k, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

func TestParseHMAC(t *testing.T) {
	want := sha256.Sum256([]byte("x"))
	for _, s := range []string{b64.EncodeToString(want[:]), b64.EncodeToString(want[:]) + "=", " " + strings.NewReplacer("-", "+", "_", "/").Replace(b64.EncodeToString(want[:])) + "=\n"} {
		if got, err := ParseHMAC(s); err != nil || string(got) != string(want[:]) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "=", "no!", "a"} {
		if _, err := ParseHMAC(s); certfleet.KindOf(err) != certfleet.Invalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestTokensThatCouldBePathsAreRefused(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for _, token := range []string{"", "../../etc/passwd", "a/b", "a b", "a.b", strings.Repeat("a", 300)} {
		if got, err := KeyAuthorization(token, key); err == nil {
			t.Errorf("%q gave %q", token, got)
		}
	}
	if got, err := KeyAuthorization("abc_-1", key); err != nil || len(got) != len("abc_-1.")+43 {
		t.Errorf("%q, %v", got, err)
	}
}
