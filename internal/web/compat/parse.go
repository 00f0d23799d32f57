package compat

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
)

func (h *Handler) parseRoutes() []route {
	const one = "/x509-certificate/{id}"
	read := certfleet.ScopeRead
	return slices.Concat([]route{{method: "GET", path: one + "/parse.json", scope: read, do: (*call).parse}},
		get(one+"/ari-check-history", (*call).ariHistory))
}

// parse says what the certificate itself says.
func (c *call) parse() {
	v, err := c.readVersionStory(c.number())
	if err != nil {
		c.fail(err)
		return
	}
	chain, err := pki.ParseChain([]byte(v.ChainPEM))
	if err != nil {
		c.fail(err)
		return
	}
	c.json(http.StatusOK, object{"X509Certificate": object{"id": v.ID, "parsed": parsed(chain[0], v)}})
}

func parsed(leaf *x509.Certificate, v api.VersionStory) object {
	sum := sha1.Sum(leaf.Raw) // it names the certificate, and protects nothing
	issuer := ""
	if len(leaf.IssuingCertificateURL) > 0 {
		issuer = leaf.IssuingCertificateURL[0]
	}
	return object{
		"subject": leaf.Subject.String(), "issuer": leaf.Issuer.String(), "issuer_uri": text(issuer), "serial": leaf.SerialNumber.String(),
		"startdate": when(leaf.NotBefore), "enddate": when(leaf.NotAfter), "SubjectAlternativeName": v.Names, "key_technology": leafTechnology(leaf),
		"authority_key_identifier": text(colons(leaf.AuthorityKeyId)), "fingerprint_sha1": strings.ToUpper(colons(sum[:])), "fingerprint_sha256": v.Fingerprint, "spki_sha256": v.SPKI,
	}
}

// colons writes bytes as 0a:1b.
func colons(b []byte) string {
	parts := make([]string, len(b))
	for i := range b {
		parts[i] = hex.EncodeToString(b[i : i+1])
	}
	return strings.Join(parts, ":")
}

// leafTechnology is what kind of key a certificate is for, null for one that has
// no word here.
func leafTechnology(leaf *x509.Certificate) any {
	typ, err := pki.KeyTypeOf(leaf.PublicKey)
	if err != nil {
		return nil
	}
	return technology(string(typ))
}

// ariHistory is the last answer of the CA, which is the one that is kept.
func (c *call) ariHistory() {
	v, err := c.readVersionStory(c.number())
	if err != nil {
		c.fail(err)
		return
	}
	all := object{}
	if !v.ARIStart.IsZero() || v.ARIProblem != "" {
		o := ariOf(v.Version)
		o["timestamp_created"] = when(time.Time{})
		all[fmt.Sprint(v.ID)] = o
	}
	c.json(http.StatusOK, object{"AriChecks": all, "pagination": pagination{Page: 1, Total: len(all)}})
}
