package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"

	"github.com/certfleet/certfleet"
)

// caLife is how long a private CA lives: 3652 days, ten years.
const caLife = 3652 * 24 * time.Hour

// backdate lets a peer whose clock is a little slow accept what is new.
const backdate = time.Hour

// CA is the house's private authority: for its own API until a public
// certificate is there, and for agents' client certificates.
type CA struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// Issued is a certificate with its key, as a CA hands them out.
type Issued struct {
	ChainPEM []byte // leaf first, then the CA
	KeyPEM   certfleet.Secret
}

// NewCA makes a CA with a P-256 key that is valid for ten years.
func NewCA(name string, now time.Time) (*CA, error) {
	key, err := GenerateKey(certfleet.P256)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdate), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	cert, err := sign(t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &CA{Certificate: cert, key: key}, nil
}

// LoadCA reads what PEM wrote.
func LoadCA(certPEM []byte, keyPEM certfleet.Secret) (*CA, error) {
	chain, key, err := ParsePair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read private CA: %w", err)
	}
	if !chain[0].IsCA {
		return nil, invalid("give the certificate of the private CA", nil, "the certificate %q is no CA's", nameOf(chain[0]))
	}
	return &CA{Certificate: chain[0], key: key}, nil
}

// PEM writes the CA's certificate and its key.
func (ca *CA) PEM() (certPEM []byte, keyPEM certfleet.Secret, err error) {
	keyPEM, err = MarshalKey(ca.key)
	return EncodeChain([]*x509.Certificate{ca.Certificate}), keyPEM, err
}

// Pool trusts this CA alone.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.Certificate)
	return p
}

// IssueServer makes a key and a certificate for a server. Hosts are DNS names
// or IP addresses; names of the house such as "localhost" are welcome here.
func (ca *CA) IssueServer(hosts []string, life time.Duration, now time.Time) (Issued, error) {
	t := leafTemplate(life, now, x509.ExtKeyUsageServerAuth)
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return ca.issue(t)
}

// IssueClient makes a key and a certificate by which a client shows its name.
func (ca *CA) IssueClient(name string, life time.Duration, now time.Time) (Issued, error) {
	t := leafTemplate(life, now, x509.ExtKeyUsageClientAuth)
	t.Subject.CommonName = name
	return ca.issue(t)
}

func leafTemplate(life time.Duration, now time.Time, use x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
}

func (ca *CA) issue(t *x509.Certificate) (Issued, error) {
	key, err := GenerateKey(certfleet.P256)
	if err != nil {
		return Issued{}, fmt.Errorf("make key: %w", err)
	}
	cert, err := sign(t, ca.Certificate, key.Public(), ca.key)
	if err != nil {
		return Issued{}, err
	}
	pem, err := MarshalKey(key)
	return Issued{ChainPEM: EncodeChain([]*x509.Certificate{cert, ca.Certificate}), KeyPEM: pem}, err
}

// sign leaves the serial number to crypto/x509, which draws 20 random bytes.
func sign(t, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
