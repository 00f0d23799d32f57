package compat

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) serverRoutes() []route {
	admin := certfleet.ScopeAdmin
	return slices.Concat(list("/acme-servers", (*call).servers), get("/acme-server/{id}", (*call).server1),
		list("/acme-server/{id}/acme-accounts", (*call).accountsOfServer),
		post("/acme-server/{id}/check-support", admin, (*call).checkSupport, "Asks the ACME server what it says of itself."),
		post("/acme-server/{id}/mark", admin, (*call).markServer, "Confirms that an ACME server can be used.", "action: is_enabled; required. How many authorizations may be pending, and how challenges are tried again, is found by itself"))
}

func serverOf(a api.Authority) (int64, object) {
	return a.ID, object{"id": a.ID, "name": a.Label, "directory_url": a.DirectoryURL, "protocol": "acme-v2", "server_ca_cert_bundle": text(a.TrustPEM)}
}

func (c *call) servers() {
	rows, at, err := sliced[api.Authority](c, "/authorities")
	c.show(object{"AcmeServers": keyed(rows, serverOf), "pagination": at}, err)
}

func (c *call) readServer() (api.Authority, error) {
	return ask[api.Authority](c, "GET", "/authorities/"+url.PathEscape(c.id()), nil)
}

func (c *call) server1() {
	a, err := c.readServer()
	_, o := serverOf(a)
	c.show(object{"AcmeServer": o}, err)
}

func (c *call) accountsOfServer() {
	a, err := c.readServer()
	if err != nil {
		c.fail(err)
		return
	}
	p, err := ask[api.Page[api.Account]](c, "GET", "/accounts", nil)
	rows, at := cut(c, slices.DeleteFunc(p.Items, func(x api.Account) bool { return x.Authority != a.Label }))
	out := []object{}
	for _, x := range rows {
		out = append(out, c.accountOf(x))
	}
	c.show(object{"AcmeAccounts": out, "pagination": at}, err)
}

// checkSupport answers what the CA says now. Nothing that it said before is kept,
// so that a change is never told of.
func (c *call) checkSupport() {
	a, err := c.readServer()
	if err != nil {
		c.fail(err)
		return
	}
	d, err := ask[api.Directory](c, "GET", "/authorities/"+url.PathEscape(a.Label)+"/directory", nil)
	if err != nil {
		msg, advice := said(err)
		c.json(http.StatusOK, object{"result": "error", "operation": "check-support", "error": msg, "advice": advice})
		return
	}
	_, o := serverOf(a)
	o["profiles"], o["is_supports_ari__version"] = text(strings.Join(slices.Sorted(maps.Keys(d.Profiles)), ",")), nil
	if d.RenewalInfo {
		o["is_supports_ari__version"] = "RFC 9773"
	}
	c.success(object{"operation": "check-support", "AcmeServer": o, "check-support": true, "changes-detected": nil})
}

// markServer answers for the mark that always holds.
func (c *call) markServer() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	a, err := c.readServer()
	switch _, o := serverOf(a); {
	case err != nil:
		c.fail(err)
	case form.Get("action") == "is_enabled":
		c.success(object{"operation": "mark", "AcmeServer": o})
	default:
		c.formError("action", "this is found by itself, and not marked")
	}
}
