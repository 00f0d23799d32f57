package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// CSR is a certification request (PKCS #10, DER) for names. It has no common
// name: CAs drop it, and names longer than 64 characters do not fit there.
func CSR(key crypto.Signer, names []certfleet.Name) ([]byte, error) {
	req := &x509.CertificateRequest{}
	for _, n := range names {
		if n.IsIP() {
			req.IPAddresses = append(req.IPAddresses, n.IP().AsSlice())
		} else {
			req.DNSNames = append(req.DNSNames, n.String())
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, req, key)
	if err != nil {
		return nil, fmt.Errorf("make request for %s: %w", strings.Join(certfleet.Strings(names), ", "), err)
	}
	return der, nil
}

// NamesOf are the names that a certificate is for, in its order; the common
// name counts only where there is no other. What is no Name is left out.
func NamesOf(c *x509.Certificate) []certfleet.Name {
	in := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		in = append(in, ip.String())
	}
	if len(in) == 0 {
		in = []string{c.Subject.CommonName}
	}
	var out []certfleet.Name
	for _, s := range in {
		if n, err := certfleet.ParseName(s); err == nil && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// TopIssuer is the common name of the topmost issuer of a chain: who issued its
// last certificate.
func TopIssuer(chain []*x509.Certificate) string {
	if len(chain) == 0 {
		return ""
	}
	last := chain[len(chain)-1].Issuer
	if last.CommonName != "" {
		return last.CommonName
	}
	return last.String()
}

// CheckLeaf answers an Error unless the certificate is a leaf for all names
// and valid at now.
func CheckLeaf(leaf *x509.Certificate, names []certfleet.Name, now time.Time) error {
	if leaf.IsCA {
		return invalid("put the certificate of the names first", nil, "the certificate %q is a CA's", nameOf(leaf))
	}
	if missing := Missing(leaf, names); len(missing) > 0 {
		return invalid("get a certificate that has these names", nil, "the certificate is not for %s", strings.Join(certfleet.Strings(missing), ", "))
	}
	switch {
	case now.Before(leaf.NotBefore):
		return invalid("check this machine's clock", nil, "the certificate is valid only from %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return invalid("get a new one", nil, "the certificate expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// Missing are the names that the certificate does not cover.
func Missing(leaf *x509.Certificate, names []certfleet.Name) []certfleet.Name {
	has := NamesOf(leaf)
	return slices.DeleteFunc(slices.Clone(names), func(n certfleet.Name) bool {
		return slices.ContainsFunc(has, func(h certfleet.Name) bool { return h.Covers(n) })
	})
}
