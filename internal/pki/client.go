package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"
)

const requestBlock = "CERTIFICATE REQUEST"

// ClientRequest asks for a client certificate for a key that stays where it is,
// in PEM.
func ClientRequest(key crypto.Signer, name string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("sign request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der}), nil
}

// ParseRequest reads a certificate request and checks that it is signed by its
// own key. Only the public key in it is to be believed.
func ParseRequest(text []byte) (*x509.CertificateRequest, error) {
	b, _ := pem.Decode(text)
	if b == nil || b.Type != requestBlock {
		return nil, invalid("send a PEM certificate request", nil, "this is no certificate request")
	}
	r, err := x509.ParseCertificateRequest(b.Bytes)
	if err == nil {
		err = r.CheckSignature()
	}
	if err != nil {
		return nil, invalid("make a new request and send it whole", err, "the certificate request cannot be read")
	}
	if _, err := KeyTypeOf(r.PublicKey); err != nil {
		return nil, err
	}
	return r, nil
}

// SignClient makes a client certificate for somebody else's key, good for client
// authentication alone. It answers the leaf and the CA, in PEM.
func (ca *CA) SignClient(pub crypto.PublicKey, name string, life time.Duration, now time.Time) ([]byte, error) {
	t := leafTemplate(life, now, x509.ExtKeyUsageClientAuth)
	t.Subject.CommonName = name
	if end := ca.Certificate.NotAfter; t.NotAfter.After(end) {
		t.NotAfter = end
	}
	cert, err := sign(t, ca.Certificate, pub, ca.key)
	if err != nil {
		return nil, err
	}
	return EncodeChain([]*x509.Certificate{cert, ca.Certificate}), nil
}

// CheckClient says whether this CA made the certificate for a client, and
// whether it is good at now.
func (ca *CA) CheckClient(c *x509.Certificate, now time.Time) error {
	_, err := c.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}
