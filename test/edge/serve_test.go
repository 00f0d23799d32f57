package edge

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/redis"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

func sealFile(t *testing.T) string {
	t.Helper()
	b := make([]byte, 32)
	rand.Read(b)
	path := filepath.Join(t.TempDir(), "seal.key")
	if err := os.WriteFile(path, []byte(hex.EncodeToString(b)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryLayoutIsServedOverBothVersionsOfTLS(t *testing.T) {
	trial.InFull(t)
	seal := sealFile(t)
	for name, s := range map[string]settings{
		"layout 1":                  {Options: "layout = 1", Redis: redis.Config{Layout: 1}},
		"layout 2":                  {Options: "layout = 2", Redis: redis.Config{Layout: 2}},
		"layout 3":                  {Options: "layout = 3"},
		"layout 3, sealed, prefix":  {Options: fmt.Sprintf("prefix = 'a:', seal_key = %q", seal), Redis: redis.Config{Prefix: "a:", SealKey: "file:" + seal}},
		"layout 3, RSA not beside":  {Options: "rsa_beside = false", Redis: redis.Config{RSABeside: true}},
		"layout 3 with a password":  {RedisArg: []string{"--requirepass", "right"}},
		"layout 3 by a unix socket": {Options: `redis = "unix:REDIS_SOCKET"`},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "password") {
				t.Setenv("REDIS_PASSWORD", "right")
				s.Redis.Password = "env:REDIS_PASSWORD"
				path := filepath.Join(t.TempDir(), "password")
				if err := os.WriteFile(path, []byte("right\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				s.Options = fmt.Sprintf("redis_password_file = %q", path)
			}
			start(t, s).serves(40)
		})
	}
}

// serves delivers n certificates and shakes hands for each, TLS 1.2 and 1.3 in
// turn, cold and warm.
func (r *rig) serves(n int) {
	r.Helper()
	bundles := make([]certfleet.Bundle, n)
	for i := range bundles {
		bundles[i] = r.bundle(int64(i+1), fmt.Sprintf("shop%d.example.com", i))
	}
	r.deliver(bundles...)
	for round := range 2 {
		for i, b := range bundles {
			version := []uint16{tls.VersionTLS12, tls.VersionTLS13}[(i+round)%2]
			state, err := hello{name: b.Names[0].String(), version: version}.shake(r.TLS)
			if err != nil {
				r.Fatalf("%s: %v", b.Certificate, err)
			}
			if got := pki.Fingerprint(state.PeerCertificates[0]); got != b.Fingerprint || len(state.PeerCertificates) != 2 || state.Version != version {
				r.Fatalf("%s shows %.12s in a chain of %d, want %.12s of 2", b.Certificate, got, len(state.PeerCertificates), b.Fingerprint)
			}
		}
	}
}

func TestManyNamesAreServed(t *testing.T) {
	trial.InFull(t)
	n := 1000
	if trial.Long() {
		n = 10000
	}
	start(t, settings{Workers: 2, Dict: "64m"}).serves(n)
}

func TestEveryTierIsHitAndCounted(t *testing.T) {
	r := start(t, settings{Options: "subscribe = false"})
	r.deliver(r.bundle(1, "shop.example.com"))
	for range 3 {
		r.served("shop.example.com")
	}
	r.expectCounts(map[string]int{"hit_redis": 1, "hit_lru": 2, "hit_dict": 0, "lookups_redis": 1})
	r.reload() // the new worker has parsed nothing, and the dict stays
	r.eventually("a new worker serves", func() bool { r.served("shop.example.com"); return r.counted("hit_dict") == 1 })
	r.expectCounts(map[string]int{"hit_redis": 1, "lookups_redis": 1})
	for range 5 {
		r.expectDefault("nobody.example.com")
	}
	r.expectCounts(map[string]int{"miss": 5, "lookups_redis": 2})
}

func TestSpellingsOfOneNameShareOneEntry(t *testing.T) {
	r := start(t, settings{Options: "subscribe = false"})
	b := r.bundle(1, "shop.example.com")
	r.deliver(b)
	for _, n := range []string{"shop.example.com", "SHOP.example.com", "Shop.Example.Com"} {
		r.expect(n, b.Fingerprint)
	}
	r.expectCounts(map[string]int{"lookups_redis": 1, "hit_lru": 2})
}

func TestWildcardStandsForNamesBelowIt(t *testing.T) {
	for layout := 1; layout <= 3; layout++ {
		r := start(t, settings{Options: fmt.Sprintf("layout = %d", layout), Redis: redis.Config{Layout: layout}})
		wild, exact := r.bundle(1, "*.example.com"), r.bundle(2, "shop.example.com")
		r.deliver(wild, exact)
		for range 2 {
			r.expect("any.example.com", wild.Fingerprint)
			r.expect("other.example.com", wild.Fingerprint)
			r.expect("shop.example.com", exact.Fingerprint)
			r.expectDefault("a.b.example.com", "example.com")
		}
	}
}

func TestExactNameTakesOverFromItsWildcard(t *testing.T) {
	r := start(t, settings{})
	r.listening()
	wild := r.bundle(1, "*.example.com")
	r.deliver(wild)
	r.expect("shop.example.com", wild.Fingerprint)
	exact := r.bundle(2, "shop.example.com")
	r.deliver(exact)
	r.eventually("the exact name's own pair", func() bool { return r.served("shop.example.com") == exact.Fingerprint })
	r.expect("other.example.com", wild.Fingerprint)
}

func TestNewWildcardEndsTheMissesBelowIt(t *testing.T) {
	r := start(t, settings{})
	r.listening()
	r.expectDefault("shop.example.com")
	wild := r.bundle(1, "*.example.com")
	r.deliver(wild)
	r.eventually("the wildcard's pair", func() bool { return r.served("shop.example.com") == wild.Fingerprint })
}

func TestHostileServerNamesReachNothing(t *testing.T) {
	m := newManager(t)
	r := start(t, settings{Options: fmt.Sprintf("manager = %q", m.URL)})
	names := []string{"", "x/ HTTP/1.1\r\nHost: y\r\n\r\nGET /domain/z", "../../api/redis/prime?x=", "zz&evil=1", "a..b", "*.example.com", "a b.example.com", strings.Repeat("a.", 126) + "ab", strings.Repeat("x", 255), "ex\u00e4mple.com"}
	r.expectDefault(names...)
	r.expectDefault("127.0.0.1") // Go sends none for an address
	r.expectCounts(map[string]int{"lookups_redis": 0, "lookups_manager": 0, "refused": len(names) - 1, "no_sni": 2})
	if got := m.asked(); len(got) != 0 {
		t.Errorf("the manager was asked %q", got)
	}
}

func TestUnknownNamesMayBeTurnedAway(t *testing.T) {
	r := start(t, settings{Options: `on_unknown = "reject"`})
	b := r.bundle(1, "shop.example.com")
	r.deliver(b)
	r.expect("shop.example.com", b.Fingerprint)
	if _, err := (hello{name: "nobody.example.com"}).shake(r.TLS); err == nil {
		t.Error("an unknown name was served")
	}
}

// rsaBundle is an RSA pair, which the suite's bundles are not.
func (r *rig) rsaBundle(version int64, name string) certfleet.Bundle {
	r.Helper()
	key, err := pki.GenerateKey(certfleet.RSA2048)
	if err != nil {
		r.Fatal(err)
	}
	return r.selfSigned(name+" rsa", version, key, name, time.Hour)
}

func (r *rig) selfSigned(label string, version int64, key interface {
	certSigner
}, name string, life time.Duration) certfleet.Bundle {
	r.Helper()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(version), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		r.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		r.Fatal(err)
	}
	keyPEM, err := pki.MarshalKey(key)
	if err != nil {
		r.Fatal(err)
	}
	names, err := certfleet.ParseNames([]string{name})
	if err != nil {
		r.Fatal(err)
	}
	return certfleet.Bundle{Certificate: label, Version: version, Names: names, ChainPEM: pki.EncodeChain([]*x509.Certificate{leaf}),
		KeyPEM: keyPEM, Fingerprint: pki.Fingerprint(leaf), NotAfter: leaf.NotAfter}
}

func TestRSAPairServesThoseWhoKnowNoECDSA(t *testing.T) {
	r := start(t, settings{Options: "rsa_beside = true", Redis: redis.Config{RSABeside: true}})
	ec, rsa := r.bundle(2, "shop.example.com"), r.rsaBundle(1, "shop.example.com")
	r.deliver(ec, rsa)
	for range 2 {
		for cipher, want := range map[uint16]bool{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: false, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true} {
			state, err := hello{name: "shop.example.com", version: tls.VersionTLS12, ciphers: []uint16{cipher}}.shake(r.TLS)
			if err != nil {
				t.Fatalf("%s: %v", tls.CipherSuiteName(cipher), err)
			}
			if isECDSA(state.PeerCertificates[0]) != want {
				t.Errorf("%s was shown the other pair", tls.CipherSuiteName(cipher))
			}
		}
	}
}

// broken is what must never be set on a connection.
func TestPairsThatCannotServeLeaveTheDefault(t *testing.T) {
	for name, break_ := range map[string]func(r *rig, good certfleet.Bundle){
		"key missing":   func(r *rig, b certfleet.Bundle) { r.hset("d2:"+b.Certificate, "f", string(b.ChainPEM)) },
		"chain missing": func(r *rig, b certfleet.Bundle) { r.hset("d2:"+b.Certificate, "p", string(b.KeyPEM)) },
		"no PEM":        func(r *rig, b certfleet.Bundle) { r.hset("d2:"+b.Certificate, "f", "x", "p", "y") },
		"another's key": func(r *rig, b certfleet.Bundle) {
			r.hset("d2:"+b.Certificate, "f", string(b.ChainPEM), "p", string(r.bundle(2, "x.example.com").KeyPEM))
		},
		"wrong type": func(r *rig, b certfleet.Bundle) { r.db.Set(r.Context(), "d2:"+b.Certificate, "x", 0) },
		"half a sealed key": func(r *rig, b certfleet.Bundle) {
			r.hset("d2:"+b.Certificate, "f", string(b.ChainPEM), "p", "sealed:v1:00")
		},
		"expired": func(r *rig, b certfleet.Bundle) {
			key, err := pki.GenerateKey(certfleet.P256)
			if err != nil {
				r.Fatal(err)
			}
			old := r.selfSigned("old", 1, key, "shop.example.com", -time.Hour)
			r.hset("d2:"+b.Certificate, "f", string(old.ChainPEM), "p", string(old.KeyPEM))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, settings{Options: "layout = 2, error_ttl = 0.2", Redis: redis.Config{Layout: 2}})
			good := r.bundle(1, "shop.example.com")
			break_(r, good)
			r.expectDefault("shop.example.com", "shop.example.com")
			r.db.Del(r.Context(), "d2:shop.example.com")
			r.deliver(good)
			r.eventually("the good pair after the broken one", func() bool { return r.served("shop.example.com") == good.Fingerprint })
		})
	}
}

func (r *rig) hset(key string, fields ...string) {
	r.Helper()
	if err := r.db.HSet(r.Context(), key, fields).Err(); err != nil {
		r.Fatal(err)
	}
}

func TestBrokenRenewalKeepsTheGoodPair(t *testing.T) {
	r := start(t, settings{Options: "layout = 2", Redis: redis.Config{Layout: 2}})
	good := r.bundle(1, "shop.example.com")
	r.deliver(good)
	r.expect("shop.example.com", good.Fingerprint)
	r.hset("d2:shop.example.com", "p", string(targettest.Bundle(t, "x", 9, "x.example.com").KeyPEM))
	r.get("/.peter_sslers/nginx/shared_cache/expire/domain/shop.example.com")
	for range 3 {
		r.expect("shop.example.com", good.Fingerprint)
	}
	if r.counted("stale") == 0 {
		t.Error("the good pair was served without a second look")
	}
}
