package pki

import (
	"bytes"
	"crypto/x509"
	"slices"
)

// order puts the leaf first and behind each certificate the one that signed
// it. What hangs on the chain in another way (a second certificate of a cross-
// signed issuer) follows as it came; a stranger is refused.
func order(certs []*x509.Certificate) ([]*x509.Certificate, error) {
	leaf, err := leafOf(certs)
	if err != nil {
		return nil, err
	}
	chain := ChainOf(leaf, certs)
	for _, c := range certs {
		if index(chain, c) >= 0 {
			continue
		}
		if !related(c, certs) {
			return nil, invalid("leave out the certificates that do not belong to the chain of "+nameOf(leaf), nil, "certificate %q does not belong to the chain of %q", nameOf(c), nameOf(leaf))
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// ChainOf is the way from a leaf towards a root through certificates that may
// hold others too. It is the leaf alone when its issuer is not among them.
func ChainOf(leaf *x509.Certificate, among []*x509.Certificate) []*x509.Certificate {
	chain, rest := []*x509.Certificate{leaf}, without(among, leaf)
	for {
		next := signerOf(chain[len(chain)-1], rest)
		if next == nil || len(chain) == maxChain {
			return chain
		}
		chain, rest = append(chain, next), without(rest, next)
	}
}

// leafOf is the one certificate that is no CA, or the one that signed no other.
func leafOf(certs []*x509.Certificate) (*x509.Certificate, error) {
	leaves := slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return c.IsCA })
	if len(leaves) == 0 {
		leaves = slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool {
			return slices.ContainsFunc(certs, func(o *x509.Certificate) bool { return !o.Equal(c) && names(o, c) })
		})
	}
	switch len(leaves) {
	case 1:
		return leaves[0], nil
	case 0:
		return nil, invalid("give one certificate with its chain", nil, "the certificates sign each other in a circle")
	}
	return nil, invalid("give them one at a time, each with its own chain", nil, "there are %d certificates that sign no other: %q and %q among them", len(leaves), nameOf(leaves[0]), nameOf(leaves[1]))
}

func without(certs []*x509.Certificate, c *x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(certs), c.Equal)
}

// signerOf prefers the candidate whose signature checks; one whose name fits is
// taken else, because a signature by SHA-1 or an unknown algorithm cannot be checked.
// Where one name alone fits there is nothing to choose, and no signature is checked.
func signerOf(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	var fit []*x509.Certificate
	for _, s := range among {
		if names(c, s) {
			fit = append(fit, s)
		}
	}
	switch len(fit) {
	case 0:
		return nil
	case 1:
		return fit[0]
	}
	signed := slices.IndexFunc(fit, func(s *x509.Certificate) bool { return c.CheckSignatureFrom(s) == nil })
	return fit[max(0, signed)]
}

// names reports whether c says that s issued it.
func names(c, s *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, s.RawSubject) }

func related(c *x509.Certificate, certs []*x509.Certificate) bool {
	return slices.ContainsFunc(certs, func(o *x509.Certificate) bool {
		return !o.Equal(c) && (names(c, o) || names(o, c) || bytes.Equal(c.RawSubject, o.RawSubject))
	})
}

// nameOf is what people call a certificate: its common name or first name.
func nameOf(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return c.Subject.String()
}
