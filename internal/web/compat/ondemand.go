package compat

import (
	"maps"
	"net/http"
	"net/url"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/edge"
)

func (h *Handler) onDemandRoutes() []route {
	return both(
		route{method: "POST", path: "/api/domain/autocert", scope: certfleet.ScopeEdge, do: (*call).autocert, about: about{
			Instructions: []string{"POST `domain_name`. Answers the certificate of the domain, and orders one where the rules for on-demand orders allow it."},
			Fields:       map[string]string{"domain_name": "the host name; required"},
		}})
}

// autocert answers what a name serves, and orders it first where that is allowed.
func (c *call) autocert() {
	_, name, ok := c.named()
	if !ok {
		return
	}
	p, err := c.find(name)
	switch {
	case err == nil && !p.Expired:
		c.answerPair(p, "existing certificate(s)", 0)
	case err != nil && certfleet.KindOf(err) != certfleet.NotFound:
		c.fail(err)
	case c.h.Order == nil:
		c.formError("Error_Main", "the SystemConfiguration `autocert` is not configured")
	default:
		c.order(name)
	}
}

// named reads the form of a call about one domain; when ok is false the call was
// answered.
func (c *call) named() (form url.Values, n certfleet.Name, ok bool) {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return form, n, false
	}
	n, msg := oneName(form)
	if msg != "" {
		c.formError("domain_name", msg)
	}
	return form, n, msg == ""
}

func oneName(form url.Values) (n certfleet.Name, msg string) {
	if form.Get("domain_name") == "" {
		return n, "Missing value"
	}
	n, err := certfleet.ParseName(form.Get("domain_name"))
	if err != nil {
		msg, _ = said(err)
	}
	return n, msg
}

func (c *call) find(n certfleet.Name) (*edge.Pair, error) {
	return c.h.Edge.Find(c.ctx, edge.Asked{Tenant: c.who.Tenant, Edge: c.edge(), Name: n})
}

// order gets the name a certificate while the caller waits.
func (c *call) order(n certfleet.Name) {
	got, err := c.h.Order(c.ctx, c.who.Tenant, n)
	if err != nil {
		c.fail(err)
		return
	}
	if got.Problem != "" || got.Pending {
		c.answerNone(n, got)
		return
	}
	p, err := c.h.Edge.Find(c.ctx, edge.Asked{Tenant: c.who.Tenant, Edge: c.edge(), Name: n, Fresh: true})
	if err != nil {
		c.fail(err)
		return
	}
	notes := "new AcmeOrder, valid"
	if got.Existing {
		notes = "existing certificate(s), updated recents"
	}
	c.answerPair(p, notes, got.OrderID)
}

func (c *call) answerPair(p *edge.Pair, notes string, order int64) {
	if c.q.URL.Query().Get("openresty") != "" {
		c.prime(p.Version)
	}
	out := lookup(p, false)
	maps.Copy(out, map[string]any{"result": "success", "notes": notes})
	if order != 0 {
		out["AcmeOrder"] = map[string]int64{"id": order}
	}
	c.json(http.StatusOK, out)
}

// answerNone says that there is no certificate, or not yet.
func (c *call) answerNone(n certfleet.Name, got api.OnDemand) {
	out := map[string]any{"result": "error", "notes": "new AcmeOrder, invalid", "error": got.Problem, "Domain": map[string]string{"domain_name": n.String()}}
	if got.Pending {
		out["notes"], out["error"] = "new AcmeOrder, pending", "the certificate is being ordered; ask again"
	}
	for _, generation := range []string{"x509_certificate", "certificate_signed", "server_certificate"} {
		out[generation+"__latest_single"], out[generation+"__latest_multi"] = nil, nil
	}
	if got.OrderID != 0 {
		out["AcmeOrder"] = map[string]int64{"id": got.OrderID}
	}
	c.json(http.StatusOK, out)
}
