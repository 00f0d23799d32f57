package compat

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/edge"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter"
)

func (h *Handler) downloadRoutes() []route {
	return []route{
		{method: "GET", path: "/x509-certificate/{id}/{file}", scope: certfleet.ScopeRead, edge: true, do: (*call).download},
		{method: "GET", path: "/x509-certificate/{id}/via-certificate-trust-chain/{chain}/{file}", scope: certfleet.ScopeRead, edge: true, do: (*call).downloadVia},
	}
}

// The media types of certificates, by the ending of the file.
var certTypes = map[string]string{
	"pem": "application/x-pem-file", "pem.txt": "text/plain; charset=utf-8", "cer": "application/pkix-cert",
	"crt": "application/x-x509-server-cert", "der": "application/x-x509-server-cert",
}

// The media types of chains, whose certificates are those of CAs.
var chainTypes = map[string]string{
	"pem": "application/x-pem-file", "pem.txt": "text/plain; charset=utf-8", "cer": "application/pkix-cert",
	"crt": "application/x-x509-ca-cert", "der": "application/x-x509-ca-cert",
}

var keyTypes = map[string]string{"pem": "application/x-pem-file", "pem.txt": "text/plain; charset=utf-8", "key": "application/pkcs8"}

// download answers one file of a certificate.
func (c *call) download() {
	v, err := c.version()
	if err != nil {
		c.fail(err)
		return
	}
	chain, err := pki.ParseChain(v.ChainPEM)
	if err != nil {
		c.fail(err)
		return
	}
	what, ending, _ := strings.Cut(c.q.PathValue("file"), ".")
	switch what {
	case "cert":
		c.certificates(certTypes, ending, pki.EncodeChain(chain[:1]))
	case "chain":
		c.certificates(chainTypes, ending, pki.EncodeChain(chain[1:]))
	case "fullchain":
		c.certificates(certTypes, ending, pki.EncodeChain(chain))
	case "privkey", "config":
		c.withKey(v, what, ending, nil)
	default:
		c.missing()
	}
}

// downloadVia answers a file with one of the alternate chains.
func (c *call) downloadVia() {
	v, err := c.version()
	if err != nil {
		c.fail(err)
		return
	}
	chain, err := c.alternate(v)
	if err != nil {
		c.fail(err)
		return
	}
	parsed, err := pki.ParseChain(chain)
	if err != nil {
		c.fail(err)
		return
	}
	what, ending, _ := strings.Cut(c.q.PathValue("file"), ".")
	switch what {
	case "chain":
		c.certificates(chainTypes, ending, pki.EncodeChain(parsed[1:]))
	case "fullchain":
		c.certificates(certTypes, ending, pki.EncodeChain(parsed))
	case "config":
		c.withKey(v, what, ending, chain)
	default:
		c.missing()
	}
}

// alternate is the chain that the path means: by its id, as lookups show it, or
// by its position.
func (c *call) alternate(v *certfleet.Version) ([]byte, error) {
	chains, err := c.h.DB.ChainsOf(c.ctx, v.ID)
	if err != nil {
		return nil, err
	}
	for _, ch := range chains {
		parsed, err := pki.ParseChain(ch.PEM)
		if err != nil {
			return nil, err
		}
		id := c.q.PathValue("chain")
		if id == pki.ContentID(pki.EncodeChain(parsed[1:])) || id == strconv.Itoa(ch.Position) {
			return ch.PEM, nil
		}
	}
	return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask for a chain that the certificate has"}
}

// version is the one that the path means, if it is the caller's.
func (c *call) version() (*certfleet.Version, error) {
	none := &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found"}
	id, err := strconv.ParseInt(c.q.PathValue("id"), 10, 64)
	if err != nil {
		return nil, none
	}
	v, err := c.h.DB.Version(c.ctx, id)
	if err == nil && v.Tenant != c.who.Tenant {
		return nil, none
	}
	return v, err
}

func (c *call) missing() {
	c.json(http.StatusNotFound, map[string]string{"message": "the item was not found"})
}

// certificates answers PEM as it is, and DER where there is just one.
func (c *call) certificates(types map[string]string, ending string, text []byte) {
	media, ok := types[ending]
	if !ok {
		c.missing()
		return
	}
	if strings.HasPrefix(ending, "pem") {
		c.object(media, text)
		return
	}
	first, rest := pem.Decode(text)
	if more, _ := pem.Decode(rest); first == nil || more != nil {
		c.json(http.StatusNotFound, map[string]string{"message": "DER holds one certificate; ask for .pem"})
		return
	}
	c.object(media, first.Bytes)
}

// withKey answers what holds the private key; that is on record first.
func (c *call) withKey(v *certfleet.Version, what, ending string, via []byte) {
	if !c.who.Allows(certfleet.ScopeEdge) && !c.who.Allows(certfleet.ScopeKey) {
		c.refuse(http.StatusForbidden, &certfleet.Error{Kind: certfleet.Denied, Msg: "no private key leaves without scope edge or key", Advice: "use a token with scope edge or key"})
		return
	}
	if _, known := keyTypes[ending]; what == "privkey" && !known || what == "config" && ending != "json" && ending != "zip" {
		c.missing()
		return
	}
	p, err := c.h.Edge.Version(c.ctx, c.who.Tenant, c.edge(), v.ID)
	if err != nil {
		c.fail(err)
		return
	}
	defer p.KeyPEM.Wipe()
	if via != nil {
		p.FullPEM = via
	}
	switch {
	case what == "privkey" && ending == "key":
		c.pack(porter.PKCS8, p, "")
	case what == "privkey":
		c.object(keyTypes[ending], p.KeyPEM)
	case ending == "zip":
		c.pack(porter.Zip, p, c.zipName(v, via))
	default:
		c.json(http.StatusOK, payloadOf(p, c.q.URL.Query().Get("idonly") != ""))
	}
}

func (c *call) zipName(v *certfleet.Version, via []byte) string {
	id := c.shown("version", v.ID)
	if via == nil {
		return fmt.Sprintf("cert%d.zip", id)
	}
	chain := c.q.PathValue("chain")
	if n, err := strconv.ParseInt(chain, 10, 64); err == nil {
		chain = strconv.FormatInt(c.shown("chain", n), 10)
	}
	return fmt.Sprintf("cert%d-chain%s.zip", id, chain)
}

func (c *call) pack(f porter.Format, p *edge.Pair, name string) {
	file, err := porter.Export(f, porter.Pack{Name: "cert", ChainPEM: p.FullPEM, KeyPEM: p.KeyPEM, Suffix: strconv.FormatInt(c.shown("version", p.Version), 10)})
	if err != nil {
		c.fail(err)
		return
	}
	if name != "" {
		c.w.Header().Set("Content-Disposition", "attachment; filename="+name)
	}
	c.object(file.Type, file.Body)
}
