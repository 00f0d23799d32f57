// Package pki parses, prints and checks certificates and keys, and is a small
// private CA. It does no I/O.
package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/certfleet/certfleet"
)

// maxInput bounds what is parsed as one chain or key, in bytes.
const maxInput = 1 << 20

// maxChain bounds the certificates of one chain; real ones have two to five.
const maxChain = 32

func invalid(advice string, cause error, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice, Err: cause}
}

// ParseCertificates reads all certificates of a PEM text (with anything around
// and between them) or of concatenated DER, in the order given.
func ParseCertificates(b []byte) ([]*x509.Certificate, error) {
	if len(b) > maxInput {
		return nil, invalid("give a single certificate with its chain", nil, "certificate input of %d bytes is too large", len(b))
	}
	if !isPEM(b) {
		certs, err := x509.ParseCertificates(b)
		if err != nil || len(certs) == 0 {
			return nil, invalid("give a certificate in PEM form, beginning with -----BEGIN CERTIFICATE-----, or in DER form", err, "this is not a certificate")
		}
		return certs, nil
	}
	return parsePEM(b)
}

func isPEM(b []byte) bool { return bytes.Contains(b, []byte("-----BEGIN ")) }

func parsePEM(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	rest := plainText(b)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if !strings.HasSuffix(block.Type, "CERTIFICATE") || block.Type == "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, invalid("copy the certificate again, whole", err, "certificate %d of the PEM text cannot be read", len(certs)+1)
		}
		certs = append(certs, c)
	}
	// pem.Decode steps over a block that is cut or garbled without a word.
	if begun := bytes.Count(b, []byte("-----BEGIN CERTIFICATE-----")); begun > len(certs) {
		return nil, invalid("copy the file again, whole", nil, "%d of %d PEM blocks cannot be read", begun-len(certs), begun)
	}
	if len(certs) == 0 {
		return nil, invalid("give a text that contains -----BEGIN CERTIFICATE-----", nil, "the PEM text holds no certificate")
	}
	return certs, nil
}

// plainText takes off the byte order mark that some editors put in front.
func plainText(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }

// ParseChain reads one end-entity certificate with its chain, given in any
// order, and answers it leaf first. A chain that is in order stays exactly as
// it was delivered.
func ParseChain(b []byte) ([]*x509.Certificate, error) {
	certs, err := ParseCertificates(b)
	if err != nil {
		return nil, err
	}
	return InOrder(certs)
}

// InOrder is ParseChain of certificates that are parsed already.
func InOrder(certs []*x509.Certificate) ([]*x509.Certificate, error) {
	certs = unique(certs)
	if len(certs) > maxChain {
		return nil, invalid("give a single certificate with its chain", nil, "%d certificates are no chain", len(certs))
	}
	return order(certs)
}

func unique(certs []*x509.Certificate) []*x509.Certificate {
	out := make([]*x509.Certificate, 0, len(certs))
	for _, c := range certs {
		if index(out, c) < 0 {
			out = append(out, c)
		}
	}
	return out
}

func index(certs []*x509.Certificate, c *x509.Certificate) int {
	for i, o := range certs {
		if o.Equal(c) {
			return i
		}
	}
	return -1
}

// EncodeChain writes certificates as PEM, in their order.
func EncodeChain(chain []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range chain {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return out.Bytes()
}
