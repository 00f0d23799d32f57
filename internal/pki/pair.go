package pki

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"github.com/certfleet/certfleet"
)

// Fingerprint is the SHA-256 of the whole certificate in lower-case hex.
func Fingerprint(c *x509.Certificate) string { return sha(c.Raw) }

// SPKI is the SHA-256 of a public key's SubjectPublicKeyInfo in lower-case hex.
// A private key stands for its public part; an unknown kind of key is "".
func SPKI(k crypto.PublicKey) string {
	if s, ok := k.(crypto.Signer); ok {
		k = s.Public()
	}
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return ""
	}
	return sha(der)
}

// Serial is the serial number in lower-case hex, whole bytes.
func Serial(c *x509.Certificate) string { return hex.EncodeToString(c.SerialNumber.Bytes()) }

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// KeyFits reports whether key is the private key of the certificate.
func KeyFits(c *x509.Certificate, key crypto.Signer) bool {
	return key != nil && same(c.PublicKey, key.Public())
}

func same(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// CheckKey is KeyFits as an error with advice.
func CheckKey(c *x509.Certificate, key crypto.Signer) error {
	if KeyFits(c, key) {
		return nil
	}
	return invalid("give the key that the certificate was made for", nil, "the private key does not fit the certificate of %q", nameOf(c))
}

// ParsePair reads a chain and its key, and answers them only if they fit.
func ParsePair(chain []byte, key certfleet.Secret) ([]*x509.Certificate, crypto.Signer, error) {
	certs, err := ParseChain(chain)
	if err != nil {
		return nil, nil, err
	}
	k, err := ParseKey(key)
	if err != nil {
		return nil, nil, err
	}
	return certs, k, CheckKey(certs[0], k)
}
