package compat

import (
	"encoding/json"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/edge"
)

func (h *Handler) lookupRoutes() []route {
	return []route{{method: "GET", path: "/domain/{domain}/config.json", scope: certfleet.ScopeEdge, do: (*call).config}}
}

// part is one PEM object of an answer; the PEM is left out when only ids were
// asked for.
type part struct {
	ID  string `json:"id"`
	PEM string `json:"pem,omitempty"`
}

// payload is a certificate with its key as edges read it.
type payload struct {
	ID          string `json:"id"`
	PrivateKey  part   `json:"private_key"`
	Certificate part   `json:"certificate"`
	Chain       part   `json:"chain"`
	Fullchain   part   `json:"fullchain"`
}

// domainRef names a domain.
type domainRef struct {
	ID     string `json:"id"`
	Name   string `json:"domain_name"`
	Active bool   `json:"is_active"`
}

// config answers what a name serves.
func (c *call) config() {
	name, err := c.name()
	if err != nil {
		c.fail(err)
		return
	}
	p, err := c.h.Edge.Find(c.ctx, edge.Asked{Tenant: c.who.Tenant, Edge: c.edge(), Name: name})
	if err != nil {
		c.fail(err)
		return
	}
	if c.q.URL.Query().Get("openresty") != "" {
		c.prime(p.Version)
	}
	if has, err := c.renumbered(); err != nil || has {
		c.show(lookup(p, c.q.URL.Query().Get("id_only") != ""), err)
		return
	}
	body, err := encoded(p, c.q.URL.Query().Get("id_only") != "")
	if err != nil {
		c.fail(err)
		return
	}
	c.object("application/json", body)
}

// encoded is lookup in JSON. An edge asks in the moment of a handshake, so the
// pair that stands there once for each generation is encoded once.
func encoded(p *edge.Pair, idOnly bool) ([]byte, error) {
	found, err := json.Marshal(payloadOf(p, idOnly))
	if err != nil {
		return nil, err
	}
	domain, err := json.Marshal(domainOf(p))
	if err != nil {
		return nil, err
	}
	single, multi := found, []byte("null")
	if p.Multi {
		single, multi = multi, single
	}
	out := make([]byte, 0, 3*len(found)+512)
	for _, key := range []string{"Domain", "domain"} {
		out = member(out, key, domain)
	}
	for _, generation := range generations {
		out = member(member(out, generation+"__latest_single", single), generation+"__latest_multi", multi)
	}
	return append(out, "}\n"...), nil
}

// member appends one member of an object, the first with its brace.
func member(out []byte, key string, value []byte) []byte {
	separator := byte(',')
	if len(out) == 0 {
		separator = '{'
	}
	out = append(append(out, separator, '"'), key...)
	return append(append(out, '"', ':'), value...)
}

// generations are what releases called a certificate, the latest first.
var generations = []string{"x509_certificate", "certificate_signed", "server_certificate"}

// prime writes through to Redis. An edge has its answer whether that works or not.
func (c *call) prime(version int64) {
	if c.h.Prime == nil {
		return
	}
	if err := c.h.Prime(c.ctx, version); err != nil && c.h.Log != nil {
		c.h.Log.Warn("cannot have Redis primed", "version_id", version, "err", err)
	}
}

// name is the domain that the path means: a name, or the id of one that we know.
func (c *call) name() (certfleet.Name, error) {
	said := c.q.PathValue("domain")
	if id, err := strconv.ParseInt(said, 10, 64); err == nil {
		d, err := c.h.DB.DomainByID(c.ctx, id)
		if err != nil || d.Tenant != c.who.Tenant {
			return certfleet.Name{}, &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask by name"}
		}
		return d.Name, nil
	}
	n, err := certfleet.ParseName(said)
	if err != nil {
		return n, &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask for a host name"}
	}
	return n, nil
}

// lookup is the answer under the keys of each generation of releases.
func lookup(p *edge.Pair, idOnly bool) map[string]any {
	found := payloadOf(p, idOnly)
	out := map[string]any{"Domain": domainOf(p), "domain": domainOf(p)}
	for _, generation := range generations {
		single, multi := generation+"__latest_single", generation+"__latest_multi"
		out[single], out[multi] = nil, nil
		if p.Multi {
			out[multi] = found
		} else {
			out[single] = found
		}
	}
	return out
}

func domainOf(p *edge.Pair) domainRef {
	return domainRef{strconv.FormatInt(p.DomainID, 10), p.Name.String(), true}
}

func payloadOf(p *edge.Pair, idOnly bool) payload {
	version, key := strconv.FormatInt(p.Version, 10), strconv.FormatInt(p.KeyID, 10)
	out := payload{
		ID: version, PrivateKey: part{ID: key}, Certificate: part{ID: version}, Chain: part{ID: p.ChainID}, Fullchain: part{ID: version + "," + p.ChainID},
	}
	if !idOnly {
		out.PrivateKey.PEM, out.Certificate.PEM, out.Chain.PEM, out.Fullchain.PEM = string(p.KeyPEM), string(p.LeafPEM), string(p.ChainPEM), string(p.FullPEM)
	}
	return out
}
