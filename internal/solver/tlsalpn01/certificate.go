package tlsalpn01

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/certfleet/certfleet"
)

// acmeIdentifier marks the answer (RFC 8737 section 6.1).
var acmeIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// Certificate makes the self-signed answer for a name (RFC 8737 section 3). Its
// key is made for this one handshake and kept nowhere.
func Certificate(name certfleet.Name, keyAuth string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a challenge key: %w", err)
	}
	template, err := template(name, keyAuth)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the challenge certificate for %s: %w", name, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func template(name certfleet.Name, keyAuth string) (*x509.Certificate, error) {
	digest := sha256.Sum256([]byte(keyAuth))
	value, err := asn1.Marshal(digest[:])
	if err != nil {
		return nil, fmt.Errorf("encode the key authorization: %w", err)
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber:    big.NewInt(now.UnixNano()),
		Subject:         pkix.Name{CommonName: "ACME challenge"},
		NotBefore:       now.Add(-time.Hour),
		NotAfter:        now.Add(24 * time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: acmeIdentifier, Critical: true, Value: value}},
	}
	// The name is the only one, and of its own kind (RFC 8738 section 5).
	if name.IsIP() {
		t.IPAddresses = []net.IP{name.IP().AsSlice()}
	} else {
		t.DNSNames = []string{name.Base()}
	}
	return t, nil
}
