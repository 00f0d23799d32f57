package files

import (
	"bytes"
	"crypto/x509"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// content is one checked bundle on its way to the disk.
type content struct {
	label       string
	name        string // file name
	version     int64
	domains     []string
	notAfter    time.Time
	fingerprint string
	leaf, chain []byte // chain is all but the leaf
	key         certfleet.Secret
}

// held is the pair that is on disk.
type held struct {
	version     int64 // zero when a stranger wrote it
	generation  string
	files       map[string][]byte
	fingerprint string
	notAfter    time.Time
	problem     error // why this is no working pair
}

// check opens a bundle and refuses one that would not work.
func check(b certfleet.Bundle) (content, error) {
	name, err := certfleet.LineageName(b.Certificate)
	if err != nil {
		return content{}, err
	}
	chain, key, err := pki.ParsePair(b.ChainPEM, b.KeyPEM)
	if err != nil {
		return content{}, err
	}
	c := content{label: b.Certificate, name: name, version: b.Version, domains: certfleet.Strings(b.Names), notAfter: chain[0].NotAfter, fingerprint: pki.Fingerprint(chain[0])}
	if b.Fingerprint != "" && b.Fingerprint != c.fingerprint {
		return content{}, invalid("deliver it again", nil, "the chain of %q is not of version %d", b.Certificate, b.Version)
	}
	c.leaf, c.chain = pki.EncodeChain(chain[:1]), pki.EncodeChain(chain[1:])
	c.key, err = pki.MarshalKey(key)
	return c, err
}

// checked opens a bundle whose key and chain were found to fit and were written by
// pki: the leaf is the first block.
func checked(b certfleet.Bundle) (content, error) {
	name, err := certfleet.LineageName(b.Certificate)
	if err != nil {
		return content{}, err
	}
	end := bytes.Index(b.ChainPEM, endOfCertificate)
	if end < 0 || len(b.KeyPEM) == 0 || b.Fingerprint == "" {
		return check(b)
	}
	end += len(endOfCertificate)
	return content{label: b.Certificate, name: name, version: b.Version, domains: certfleet.Strings(b.Names), notAfter: b.NotAfter, fingerprint: b.Fingerprint,
		leaf: b.ChainPEM[:end:end], chain: b.ChainPEM[end:], key: b.KeyPEM}, nil
}

var endOfCertificate = []byte("-----END CERTIFICATE-----\n")

func (c content) full() []byte { return append(append([]byte{}, c.leaf...), c.chain...) }

// judge reads the pair among what was found.
func (h *held) judge(chain, key []byte) {
	var certs []*x509.Certificate
	if certs, _, h.problem = pki.ParsePair(chain, key); h.problem == nil {
		h.fingerprint, h.notAfter = pki.Fingerprint(certs[0]), certs[0].NotAfter
	}
}

// outdates reports whether a working pair on disk is newer than c. A lower
// version that lives longer is of another history (a database that was begun
// anew), and welcome.
func (h *held) outdates(c content) bool {
	return h != nil && h.problem == nil && h.version > c.version && !c.notAfter.After(h.notAfter)
}

// bundle is a working pair as it would be delivered.
func (h *held) bundle(label string) (*certfleet.Bundle, error) {
	chain, key := h.files["fullchain.pem"], h.files["privkey.pem"]
	for _, whole := range h.files {
		if len(h.files) == 1 {
			chain, key = whole, whole
		}
	}
	certs, signer, err := pki.ParsePair(chain, key)
	if err != nil {
		return nil, err
	}
	b := &certfleet.Bundle{Certificate: label, Version: h.version, Names: pki.NamesOf(certs[0]), ChainPEM: pki.EncodeChain(certs), Fingerprint: h.fingerprint, NotAfter: h.notAfter}
	b.KeyPEM, err = pki.MarshalKey(signer)
	return b, err
}
