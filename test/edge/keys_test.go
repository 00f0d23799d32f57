package edge

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/redis"
)

// written is a private key, and one of the ways to write it down.
type written struct {
	key   certSigner
	label string
	der   []byte
}

// keysOfEveryKind are those that the module reads by itself.
func keysOfEveryKind(t *testing.T) map[string]written {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	big, err3 := rsa.GenerateKey(rand.Reader, 2048)
	sec1, err4 := x509.MarshalECPrivateKey(p256)
	for _, err := range []error{err, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return map[string]written{
		"P-256, RFC 5915": {p256, "EC PRIVATE KEY", sec1},
		"P-256, PKCS #8":  inPKCS8(t, p256),
		"P-384, PKCS #8":  inPKCS8(t, p384),
		"RSA, PKCS #1":    {big, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(big)},
		"RSA, PKCS #8":    inPKCS8(t, big),
	}
}

func inPKCS8(t *testing.T, key certSigner) written {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return written{key, "PRIVATE KEY", der}
}

// serve writes a pair for a name and shakes hands for it twice over each version
// of TLS: with what was parsed just now, and with what is kept.
func (w written) serve(r *rig, name string) {
	r.Helper()
	b := r.selfSigned(name, 1, w.key, name, time.Hour)
	r.hset("d2:"+name, "f", string(b.ChainPEM), "p", string(pem.EncodeToMemory(&pem.Block{Type: w.label, Bytes: w.der})))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS13} {
		state, err := hello{name: name, version: version}.shake(r.TLS)
		if err != nil {
			r.Fatalf("%s: %v", tls.VersionName(version), err)
		}
		if got := pki.Fingerprint(state.PeerCertificates[0]); got != b.Fingerprint {
			r.Errorf("%s shows %.12s, want %.12s", tls.VersionName(version), got, b.Fingerprint)
		}
	}
}

// TestKeysOfEveryKindServeWithoutSlowDecoders has a worker that keeps one pair alone,
// so that the second key is read in brief.
func TestKeysOfEveryKindServeWithoutSlowDecoders(t *testing.T) {
	first, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for kind, w := range keysOfEveryKind(t) {
		t.Run(kind, func(t *testing.T) {
			r := start(t, settings{Options: "layout = 2, lru_size = 1, slow_keys = 0", Redis: redis.Config{Layout: 2}})
			inPKCS8(t, first).serve(r, "first.example.com")
			r.expectCounts(map[string]int{"parsed": 1, "keys_in_brief": 0, "parsed_at_length": 0, "broken": 0})
			w.serve(r, "shop.example.com")
			r.expectCounts(map[string]int{"parsed": 2, "keys_in_brief": 1, "parsed_at_length": 0, "broken": 0})
		})
	}
}

func TestKeysOfOtherKindsServeToo(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, settings{Options: "layout = 2", Redis: redis.Config{Layout: 2}})
	inPKCS8(t, key).serve(r, "shop.example.com")
}
