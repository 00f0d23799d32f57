package redis

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// selfSigned is a bundle for any key.
func selfSigned(t *testing.T, certificate string, version int64, key crypto.Signer, list ...string) certfleet.Bundle {
	t.Helper()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(version), Subject: pkix.Name{CommonName: list[0]}, DNSNames: list, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keyPEM, err := pki.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return certfleet.Bundle{Certificate: certificate, Version: version, Names: names(t, list...), ChainPEM: pki.EncodeChain([]*x509.Certificate{leaf}),
		KeyPEM: keyPEM, Fingerprint: pki.Fingerprint(leaf), NotAfter: leaf.NotAfter}
}
