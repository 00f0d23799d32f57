package porter

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// Pair is a certificate that came in, with its key if that came too.
type Pair struct {
	Names    []certfleet.Name
	ChainPEM []byte           // leaf first
	KeyPEM   certfleet.Secret // PKCS #8, empty when no key came
	Chain    []*x509.Certificate
}

// ParsePEMBundle reads a PEM text of any number of certificates, with their
// chains and keys in any order. A server's own CA certificate counts as its leaf. A key that fits none of them is an error, as is
// a text without an end-entity certificate. Certificates alone may be DER too.
func ParsePEMBundle(b []byte) ([]Pair, error) {
	certs, err := pki.ParseCertificates(b)
	if err != nil {
		return nil, err
	}
	var keys []crypto.Signer
	if bytes.Contains(b, []byte("-----BEGIN ")) { // DER holds certificates alone
		if keys, err = pki.ParseKeys(b); err != nil {
			return nil, err
		}
	}
	leaves := slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return c.IsCA })
	if len(leaves) == 0 {
		leaves = slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return !selfMade(c) })
	}
	if len(leaves) == 0 {
		if len(certs) == 1 {
			return nil, invalid("give the certificate of your names, with its chain and key", nil, "this is the certificate of a CA, for no name that can be served")
		}
		return nil, invalid("give the certificate of your names, not only its chain", nil, "the text holds %d CA certificates and no other", len(certs))
	}
	return pairs(leaves, certs, keys)
}

// selfMade reports a certificate of a server that signed itself and says that it
// is a CA, as openssl makes them: it is taken for what it was meant to be.
func selfMade(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && len(pki.NamesOf(c)) > 0
}

func pairs(leaves, certs []*x509.Certificate, keys []crypto.Signer) ([]Pair, error) {
	var out []Pair
	seen := map[string]bool{}
	used := map[string]bool{}
	for _, leaf := range leaves {
		if seen[pki.Fingerprint(leaf)] {
			continue
		}
		seen[pki.Fingerprint(leaf)] = true
		p := Pair{Names: pki.NamesOf(leaf), Chain: pki.ChainOf(leaf, issuers(certs))}
		p.ChainPEM = pki.EncodeChain(p.Chain)
		for _, k := range keys {
			if pki.KeyFits(leaf, k) {
				var err error
				if p.KeyPEM, err = pki.MarshalKey(k); err != nil {
					return nil, fmt.Errorf("import key: %w", err)
				}
				used[pki.SPKI(k)] = true
			}
		}
		out = append(out, p)
	}
	if len(keys) == 1 && len(used) == 0 {
		return nil, invalid("give the key that the certificate was made with", nil, "the private key does not fit the certificate: their public keys differ")
	}
	if n := len(keys) - len(used); n > 0 {
		return nil, invalid("give each key together with its certificate", nil, "%d of %d private keys fit none of the certificates", n, len(keys))
	}
	return out, nil
}

func issuers(certs []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return !c.IsCA })
}
