package redis

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// The slots of a d3: hash: the suffix of its field names.
const (
	firstPair = ""
	rsaPair   = "2"
)

// content is a bundle as it will lie in Redis.
type content struct {
	label       string
	version     int64
	back        int // 1 for an older version on purpose, else 0
	fingerprint string
	names       []string
	shared      []sharedValue
	named       []namedValue
}

// sharedValue is a value that names refer to.
type sharedValue struct {
	key   string
	value string
	until int64 // Unix seconds, zero for ever
}

// namedValue is the hash of one name, or one pair in it.
type namedValue struct {
	key    string
	pair   string   // firstPair or rsaPair
	fields []string // field and value, in turn
	until  int64
}

// item is how the certificate's record names it.
func (n namedValue) item() string { return n.key + " " + n.pair }

// check refuses what must not reach an edge.
func (t *Target) check(b certfleet.Bundle, now time.Time) (c content, err error) {
	if b.Certificate == "" || len(b.Names) == 0 || b.Version < 1 {
		return c, invalid("give the bundle a label, a version and names", nil, "bundle %q of version %d with %d names cannot be stored", b.Certificate, b.Version, len(b.Names))
	}
	chain, signer, err := pki.ParsePair(b.ChainPEM, b.KeyPEM)
	if err != nil {
		return c, fmt.Errorf("version %d of %s: %w", b.Version, b.Certificate, err)
	}
	leaf := chain[0]
	if !now.Before(leaf.NotAfter) {
		return c, invalid("renew it first", nil, "version %d of %q expired at %s", b.Version, b.Certificate, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	c = content{label: b.Certificate, version: b.Version, fingerprint: pki.Fingerprint(leaf)}
	if b.Rollback {
		c.back = 1
	}
	for _, n := range b.Names {
		c.names = append(c.names, n.String())
	}
	w := writing{Target: t, content: &c, chain: chain, key: b.KeyPEM, keyID: pki.SPKI(signer.Public()), now: now}
	if _, isRSA := signer.Public().(*rsa.PublicKey); isRSA && t.RSABeside {
		w.pair = rsaPair
	}
	w.lay()
	return c, nil
}

// writing lays a checked pair out.
type writing struct {
	*Target
	content *content
	chain   []*x509.Certificate
	key     certfleet.Secret
	keyID   string
	pair    string
	now     time.Time
}

func (w *writing) lay() {
	switch w.Layout {
	case 1:
		w.lay1()
	case 2:
		w.each("d2:", w.until(w.Timeouts.Domain), "f", string(pki.EncodeChain(w.chain)), "p", string(w.key))
	case 3:
		w.lay3()
	}
}

func (w *writing) lay1() {
	leaf, rest := w.chain[0], string(pki.EncodeChain(w.chain[1:]))
	c, i := pki.ContentID(leaf.Raw), pki.ContentID([]byte(rest))
	p := pki.ContentIDOf(w.keyID)
	w.content.shared = []sharedValue{
		{w.Prefix + "i:" + i, rest, w.until(w.Timeouts.CertChain)},
		{w.Prefix + "p:" + p, string(w.key), w.until(w.Timeouts.PKey)},
		{w.Prefix + "c:" + c, string(pki.EncodeChain(w.chain[:1])), w.until(w.Timeouts.Cert)},
	}
	w.each("d1:", w.until(w.Timeouts.Domain), "c", c, "p", p, "i", i)
}

func (w *writing) lay3() {
	key, until := string(w.key), w.until(0)
	if w.seal != nil {
		key = w.seal.seal(w.keyID, w.key)
	}
	w.content.shared = []sharedValue{{w.Prefix + "k3:" + w.keyID, key, until}}
	w.each("d3:", until, "n"+w.pair, strconv.FormatInt(w.chain[0].NotAfter.Unix(), 10), "f"+w.pair, string(pki.EncodeChain(w.chain)), "k"+w.pair, w.keyID)
}

func (w *writing) each(kind string, until int64, fields ...string) {
	for _, n := range w.content.names {
		w.content.named = append(w.content.named, namedValue{key: w.Prefix + kind + n, pair: w.pair, fields: fields, until: until})
	}
}

// until is when an entry goes, by its own timeout in seconds or the target's ttl.
func (w *writing) until(seconds int) int64 {
	switch {
	case seconds > 0:
		return w.now.Unix() + int64(seconds)
	case w.ttl == untilExpiry:
		return w.chain[0].NotAfter.Unix()
	case w.ttl == forever:
		return 0
	}
	return w.now.Add(w.ttl).Unix()
}

func (c *content) items() string {
	list := make([]string, len(c.named))
	for i, n := range c.named {
		list[i] = n.item()
	}
	return strings.Join(list, "\n")
}

func (c *content) sharedKeys() string {
	list := make([]string, len(c.shared))
	for i, s := range c.shared {
		list[i] = s.key
	}
	return strings.Join(list, "\n")
}
