package compat

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
)

func (h *Handler) certificateRoutes() []route {
	issue := certfleet.ScopeIssue
	var all []route
	for _, some := range [][]route{
		list("/x509-certificates", (*call).versions), list("/x509-certificates/all", (*call).versions), list("/x509-certificates/active-duplicates", (*call).duplicates), h.certificateLists(), h.certificateActRoutes(),
		get("/x509-certificate/{id}", (*call).version1),
		post("/x509-certificates/search", certfleet.ScopeRead, (*call).searchCertificates, "Looks for a certificate.", "ari_identifier: RFC 9773 identifier", "serial: serial number, decimal or hex"),
		post("/x509-certificate/upload", issue, (*call).upload, "Brings a certificate along. It is not renewed until it is resumed.",
			"private_key_file_pem: required", "certificate_file: required", "chain_file: required"),
	} {
		all = append(all, some...)
	}
	return all
}

// versionOf is a certificate without what only its PEM tells.
func versionOf(v api.Version) (int64, object) {
	now := time.Now()
	left, life := v.NotAfter.Sub(now), v.NotAfter.Sub(v.NotBefore)
	o := object{
		"id": v.ID, "is_active": isActive(v), "is_deactivated": false, "is_revoked": !v.RevokedAt.IsZero(), "timestamp_revoked_upstream": when(v.RevokedAt),
		"certificate_type": certificateKind(v), "cert_issuer": v.Issuer, "cert_subject": v.Subject, "cert_serial": v.Serial, "domains_as_list": v.Names, "spki_sha256": v.SPKI, "private_key_id": or(v.KeyID),
		"timestamp_not_before": when(v.NotBefore), "timestamp_not_after": when(v.NotAfter), "duration_hours": int(math.Round(life.Hours())), "remaining_hours": int(max(left, 0).Hours()), "remaining_percent": percent(left, life),
		"ari_identifier": text(v.ARIID), "is_ari_supported": v.ARIID != "", "x509_certificate_id__replaced_by": or(v.ReplacedBy), "AcmeOrder": nil, "RenewalConfiguration": nil,
	}
	if v.OrderID != 0 {
		o["AcmeOrder"] = object{"id": v.OrderID}
	}
	if v.CertificateID != 0 {
		o["RenewalConfiguration"] = object{"id": v.CertificateID}
	}
	return v.ID, o
}

func certificateKind(v api.Version) string {
	if v.Origin == "imported" {
		return "raw_imported"
	}
	return "managed_primary"
}

func percent(left, life time.Duration) int {
	if life <= 0 {
		return 0
	}
	return int(100 * max(left, 0) / life)
}

func (c *call) versions() {
	rows, at, err := listed[api.Version](c, "/versions", url.Values{})
	c.show(object{"X509Certificates": keyed(rows, versionOf), "pagination": at}, err)
}

func (c *call) readVersion(id int64) (object, error) {
	v, err := ask[api.VersionStory](c, "GET", "/versions/"+strconv.FormatInt(id, 10), nil)
	if err != nil {
		return nil, err
	}
	_, o := versionOf(v.Version)
	chain, err := pki.ParseChain([]byte(v.ChainPEM))
	if err != nil {
		return nil, err
	}
	addPEM(o, chain[0])
	o["x509_certificate_trust_chain_ids"] = positions(v.Chains)
	return o, nil
}

func positions(chains []api.Chain) []int {
	out := []int{}
	for _, ch := range chains {
		out = append(out, ch.Position)
	}
	return out
}

// addPEM adds what only the certificate itself tells. The digests name it, and
// protect nothing.
func addPEM(o object, leaf *x509.Certificate) {
	text := pki.EncodeChain([]*x509.Certificate{leaf})
	m, s := md5.Sum(text), sha1.Sum(leaf.Raw)
	o["cert_pem"], o["cert_pem_md5"], o["fingerprint_sha1"] = string(text), hex.EncodeToString(m[:]), hex.EncodeToString(s[:])
}

func (c *call) version1() {
	o, err := c.readVersion(c.number())
	c.show(object{"X509Certificate": o}, err)
}

func (c *call) searchCertificates() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	what, kind := strings.TrimSpace(form.Get("ari_identifier")), "ari"
	if what == "" {
		what, kind = strings.ToLower(strings.TrimSpace(form.Get("serial"))), "serial"
	}
	if what == "" {
		c.formError("Error_Main", "`ari_identifier` or `serial` must be given")
		return
	}
	got, err := ask[api.Hits](c, "GET", "/search?q="+url.QueryEscape(what), nil)
	if err != nil {
		c.fail(err)
		return
	}
	found := object{}
	for _, h := range got.Hits {
		if h.Kind != "version" || h.Field != kind {
			continue
		}
		if found[strconv.FormatInt(h.ID, 10)], err = c.readVersion(h.ID); err != nil {
			c.fail(err)
			return
		}
	}
	c.success(object{"X509Certificates": found, "search_query": object{kind: what}})
}

// upload imports a certificate with its chain and key.
func (c *call) upload() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	for _, f := range []string{"private_key_file_pem", "certificate_file", "chain_file"} {
		if form.Get(f) == "" {
			c.formError(f, "Missing value")
			return
		}
	}
	got, err := ask[api.Imported](c, "POST", "/import", api.Import{ChainPEM: form.Get("certificate_file") + "\n" + form.Get("chain_file"), KeyPEM: form.Get("private_key_file_pem")})
	if err != nil {
		c.fail(err)
		return
	}
	fresh, v := !got.Known, got.Version
	c.json(http.StatusOK, object{"result": "success",
		"X509Certificate":           object{"created": fresh, "id": v.ID, "url": c.prefix + "/x509-certificate/" + strconv.FormatInt(c.shown("version", v.ID), 10)},
		"X509CertificateTrustChain": object{"created": fresh, "id": 0}, "PrivateKey": object{"created": fresh, "id": v.KeyID}})
}
