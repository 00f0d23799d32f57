package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
)

// oidPKCS5 begins the algorithm of every encrypted PKCS #8 key (RFC 8018).
var oidPKCS5 = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05}

// ParseKey reads one private key: PKCS #8, PKCS #1 or SEC 1, as PEM (with
// anything around it) or DER. Errors never repeat what was given.
func ParseKey(b []byte) (crypto.Signer, error) {
	keys, err := ParseKeys(b)
	switch {
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return nil, invalid("give a text that contains -----BEGIN PRIVATE KEY-----, whole", nil, "the PEM text holds no private key")
	case len(keys) > 1:
		return nil, invalid("give one key at a time", nil, "the PEM text holds %d private keys", len(keys))
	}
	return keys[0], nil
}

// ParseKeys reads all private keys of a PEM text, each once; there may be none.
func ParseKeys(b []byte) ([]crypto.Signer, error) {
	if len(b) > maxInput {
		return nil, invalid("give a file that holds one private key", nil, "key input of %d bytes is too large", len(b))
	}
	if !isPEM(b) {
		key, err := parseDERKey(b)
		return []crypto.Signer{key}, err
	}
	var keys []crypto.Signer
	rest := plainText(b)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return keys, nil
		}
		key, err := parseKeyBlock(block)
		if err != nil {
			return nil, err
		}
		if key != nil && !slices.ContainsFunc(keys, func(k crypto.Signer) bool { return same(k.Public(), key.Public()) }) {
			keys = append(keys, key)
		}
	}
}

func parseKeyBlock(b *pem.Block) (crypto.Signer, error) {
	switch b.Type {
	case "ENCRYPTED PRIVATE KEY":
		return nil, encrypted()
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		if b.Headers["DEK-Info"] != "" {
			return nil, encrypted()
		}
		return parseDERKey(b.Bytes)
	}
	return nil, nil
}

func encrypted() error {
	return invalid("take off the passphrase first: openssl pkey -in encrypted.pem -out plain.pem", nil, "the private key is encrypted with a passphrase")
}

func parseDERKey(der []byte) (crypto.Signer, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
		return nil, invalid("give an ECDSA or RSA key", nil, "a key of type %T cannot sign", k)
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	if bytes.Contains(der[:min(len(der), 64)], oidPKCS5) {
		return nil, encrypted()
	}
	return nil, invalid("give an unencrypted key in PEM form, beginning with -----BEGIN PRIVATE KEY-----", nil, "this is not a private key")
}

// MarshalKey writes a key as PKCS #8 in PEM form.
func MarshalKey(key crypto.Signer) (certfleet.Secret, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// GenerateKey makes a new key; an empty type means P-256.
func GenerateKey(t certfleet.KeyType) (crypto.Signer, error) {
	switch t {
	case "", certfleet.P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case certfleet.P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case certfleet.RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case certfleet.RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case certfleet.RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, invalid("use one of p256, p384, rsa2048, rsa3072, rsa4096", nil, "key type %q is not known", t)
}

// KeyTypeOf is the type of a public key, or of a private key's public part.
func KeyTypeOf(k crypto.PublicKey) (certfleet.KeyType, error) {
	if s, ok := k.(crypto.Signer); ok {
		k = s.Public()
	}
	what := fmt.Sprintf("%T", k)
	switch k := k.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return certfleet.P256, nil
		case elliptic.P384():
			return certfleet.P384, nil
		}
		what = k.Curve.Params().Name
	case *rsa.PublicKey:
		if t, err := certfleet.ParseKeyType(fmt.Sprintf("rsa%d", k.N.BitLen())); err == nil {
			return t, nil
		}
		what = fmt.Sprintf("RSA with %d bits", k.N.BitLen())
	}
	return "", invalid("use a key of one of the types p256, p384, rsa2048, rsa3072, rsa4096", nil, "a key of type %s is not used here", what)
}
