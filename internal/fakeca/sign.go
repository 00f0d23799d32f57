package fakeca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/certfleet/certfleet"
)

// signer holds an intermediate that two roots have certified, so that each leaf
// has two chains.
type signer struct {
	secret        uint64
	key           *ecdsa.PrivateKey
	intermediates []*x509.Certificate
	pems          [][]byte // of the intermediates
	roots         [][]byte
}

// newSigner makes keys. It panics where the machine cannot make any.
func newSigner(seed uint64) *signer {
	g := &signer{secret: randomSecret(), key: newKey()}
	for i, name := range []string{"Fake Root X1", "Fake Root X2"} {
		rootKey := newKey()
		root := authority(name, mix(seed+uint64(i)+1))
		root.IsCA, root.SubjectKeyId = true, keyID(seed, name)
		root = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey))))
		between := authority("Fake Intermediate E1", mix(seed+uint64(i)+101))
		between.MaxPathLenZero = true
		between.SubjectKeyId = keyID(seed, "E1")
		between.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		der := must(x509.CreateCertificate(rand.Reader, between, root, g.key.Public(), rootKey))
		g.roots = append(g.roots, root.Raw)
		g.intermediates = append(g.intermediates, must(x509.ParseCertificate(der)))
		g.pems = append(g.pems, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return g
}

func authority(name string, serial uint64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(serial>>1 | 1), Subject: pkix.Name{CommonName: name, Organization: []string{"fakeca"}},
		NotBefore: date(1999, 1, 1), NotAfter: date(2089, 1, 1), // the clock of a bubble starts in 2000
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// keyID is the same for the same seed, so that renewal ids are too.
func keyID(seed uint64, name string) []byte {
	sum := sha256.Sum256(append(bits(seed), name...))
	return sum[:20]
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// leaf is what a certificate is to say.
type leaf struct {
	serial     *big.Int
	names      []certfleet.Name
	from, to   time.Time
	key        crypto.PublicKey
	commonName bool
	crl        string
}

func (g *signer) sign(l leaf) ([]byte, error) {
	t := &x509.Certificate{
		SerialNumber: l.serial, NotBefore: l.from, NotAfter: l.to, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		CRLDistributionPoints: []string{l.crl},
	}
	for _, n := range l.names {
		if n.IsIP() {
			t.IPAddresses = append(t.IPAddresses, n.IP().AsSlice())
			continue
		}
		t.DNSNames = append(t.DNSNames, n.String())
		if l.commonName && t.Subject.CommonName == "" && len(n.String()) <= 64 { // RFC 5280, ub-common-name
			t.Subject.CommonName = n.String()
		}
	}
	return x509.CreateCertificate(rand.Reader, t, g.intermediates[0], l.key, g.key)
}
