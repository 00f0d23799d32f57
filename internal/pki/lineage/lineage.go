// Package lineage is how a certificate lies in a folder of its own on its way
// from a pusher to an agent: its files, the manifest that makes them whole, and
// the status that comes back. It opens no file and no connection.
package lineage

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// The files of a lineage, as certbot names them, and two that are our own.
const (
	Cert      = "cert.pem"      // the leaf
	Chain     = "chain.pem"     // all but the leaf
	FullChain = "fullchain.pem" // both
	PrivKey   = "privkey.pem"
	Manifest  = "manifest.json" // written last, read by the agent
	Status    = "status.json"   // read only, answered by the agent
)

// Known reports whether a lineage may hold a file of this name.
func Known(file string) bool {
	switch file {
	case Cert, Chain, FullChain, PrivKey, Manifest:
		return true
	}
	return false
}

// Paper is the manifest: it makes a lineage whole once all its files are there.
type Paper struct {
	Certificate string            `json:"certificate"`
	Version     int64             `json:"version"`
	Names       []certfleet.Name  `json:"names,omitempty"`
	Files       map[string]string `json:"files,omitempty"`    // SHA-256 of each, lower-case hex
	Rollback    bool              `json:"rollback,omitempty"` // it takes the place of a newer one, on purpose
	Again       bool              `json:"again,omitempty"`    // services are to be told once more
	Remove      bool              `json:"remove,omitempty"`   // the certificate is to be forgotten
}

// Complete reports whether exactly these files are there, of these contents.
func (p Paper) Complete(files map[string][]byte) bool {
	there := 0
	for name, b := range files {
		if name == Manifest {
			continue
		}
		if p.Files[name] != Sum(b) {
			return false
		}
		there++
	}
	return there == len(p.Files) && there > 0
}

// Sum is the SHA-256 of b in lower-case hex.
func Sum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// State is the status: what the agent holds, and what it refused since.
type State struct {
	Certificate string    `json:"certificate"`
	Fingerprint string    `json:"fingerprint,omitempty"` // of what is live; empty when nothing is
	NotAfter    time.Time `json:"not_after,omitzero"`
	Problem     string    `json:"problem,omitempty"` // why what was sent last is not live
	Advice      string    `json:"advice,omitempty"`
}

// Split checks a bundle and writes it as files. Chain has nothing in it when the
// leaf came alone.
func Split(b certfleet.Bundle) (map[string][]byte, error) {
	chain, key, err := pki.ParsePair(b.ChainPEM, b.KeyPEM)
	if err != nil {
		return nil, err
	}
	if b.Fingerprint != "" && b.Fingerprint != pki.Fingerprint(chain[0]) {
		return nil, invalid("deliver it again", "the chain of %q is not of version %d", b.Certificate, b.Version)
	}
	keyPEM, err := pki.MarshalKey(key)
	return map[string][]byte{Cert: pki.EncodeChain(chain[:1]), Chain: pki.EncodeChain(chain[1:]), FullChain: pki.EncodeChain(chain), PrivKey: keyPEM}, err
}

// Join makes a bundle of the files of a lineage, if they are a whole pair that
// may go live at now. The key may come from what is live already. Missing pieces
// are an Error of kind NotFound: more may be on its way.
func Join(label string, files map[string][]byte, liveKey certfleet.Secret, paper *Paper, now time.Time) (certfleet.Bundle, error) {
	b := certfleet.Bundle{Certificate: label}
	chain, err := joinChain(files)
	if err != nil {
		return b, err
	}
	if b.KeyPEM, err = pickKey(files, liveKey, chain[0]); err != nil {
		return b, err
	}
	var want []certfleet.Name
	if paper != nil {
		b.Version, want = paper.Version, paper.Names
		b.Rollback, b.Again = paper.Rollback, paper.Again
	}
	if err := pki.CheckLeaf(chain[0], want, now); err != nil {
		return b, err
	}
	if b.Names = pki.NamesOf(chain[0]); len(b.Names) == 0 {
		return b, invalid("get a certificate for a host name", "the certificate is for no name")
	}
	b.ChainPEM, b.Fingerprint, b.NotAfter = pki.EncodeChain(chain), pki.Fingerprint(chain[0]), chain[0].NotAfter
	return b, nil
}

// joinChain reads the full chain, or makes it of its two parts; where all are
// there they must agree.
func joinChain(files map[string][]byte) ([]*x509.Certificate, error) {
	text, whole := files[FullChain]
	if !whole {
		leaf, one := files[Cert]
		rest, two := files[Chain]
		if !one || !two {
			return nil, missing(FullChain)
		}
		text = append(append(bytes.Clone(leaf), '\n'), rest...)
	}
	given, err := pki.ParseCertificates(text)
	if err != nil {
		return nil, err
	}
	chain, err := pki.InOrder(given)
	if err != nil {
		return nil, err
	}
	if len(chain) != len(given) || !chain[0].Equal(given[0]) {
		return nil, invalid("put the leaf first, and behind each certificate the one that signed it", "the chain of %q is not in order", nameOf(chain[0]))
	}
	return chain, agree(files, chain)
}

func agree(files map[string][]byte, chain []*x509.Certificate) error {
	for name, part := range map[string][]*x509.Certificate{Cert: chain[:1], Chain: chain[1:]} {
		text := bytes.TrimSpace(files[name])
		if len(text) == 0 {
			continue
		}
		certs, err := pki.ParseCertificates(text)
		if err != nil {
			return err
		}
		if !bytes.Equal(pki.EncodeChain(certs), pki.EncodeChain(part)) {
			return invalid("send all files of one version", "%s does not belong to %s", name, FullChain)
		}
	}
	return nil
}

func pickKey(files map[string][]byte, live certfleet.Secret, leaf *x509.Certificate) (certfleet.Secret, error) {
	text, ok := files[PrivKey]
	if !ok {
		key, err := pki.ParseKey(live)
		if err != nil || !pki.KeyFits(leaf, key) {
			return nil, missing(PrivKey)
		}
		return pki.MarshalKey(key)
	}
	key, err := pki.ParseKey(text)
	if err != nil {
		return nil, err
	}
	if err := pki.CheckKey(leaf, key); err != nil {
		return nil, err
	}
	return pki.MarshalKey(key)
}

func nameOf(c *x509.Certificate) string {
	if names := pki.NamesOf(c); len(names) > 0 {
		return names[0].String()
	}
	return c.Subject.String()
}

func missing(file string) error {
	return &certfleet.Error{Kind: certfleet.NotFound, Msg: file + " is not there yet", Advice: "send the whole pair"}
}

func invalid(advice, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice}
}
