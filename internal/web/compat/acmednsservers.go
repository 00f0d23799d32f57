package compat

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// The servers are those of the configuration: what a form says of them is
// confirmed where it holds, and refused where the configuration says otherwise.
func (h *Handler) acmednsServerRoutes() []route {
	admin := certfleet.ScopeAdmin
	fields := []string{"api_url: the acme-dns API; required", "domain: not read, the accounts say it"}
	return slices.Concat(
		post("/acme-dns-server/new", admin, (*call).newDNSServer, "Confirms that the configuration has a solver of type acmedns with this server.", fields...),
		post("/acme-dns-server/{id}/edit", admin, (*call).editDNSServer, "Confirms what the configuration says of the server.", fields...),
		post("/acme-dns-server/{id}/mark", admin, (*call).markDNSServer, "Confirms how the configuration has the server.", "action: active or global_default; required"),
		post("/acme-dns-server/{id}/check", certfleet.ScopeIssue, (*call).checkDNSServer, "Asks the acme-dns server whether it is well."))
}

const inConfiguration = "acme-dns servers are solvers of type acmedns in the configuration: change it there, and restart"

func (c *call) newDNSServer() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	said := form.Get("api_url")
	if said == "" {
		c.formError("api_url", "Missing value")
		return
	}
	all, err := ask[api.Page[api.ACMEDNSServer]](c, "GET", "/acmedns", nil)
	if err != nil {
		c.fail(err)
		return
	}
	for _, s := range all.Items {
		if sameURL(s.URL, said) {
			_, o := dnsServerOf(s)
			c.success(object{"AcmeDnsServer": o, "is_created": false, "is_existing": true})
			return
		}
	}
	c.formError("api_url", inConfiguration)
}

func sameURL(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(strings.TrimSpace(a), "/"), strings.TrimRight(strings.TrimSpace(b), "/"))
}

func (c *call) editDNSServer() {
	form, s, ok := c.formOnDNSServer()
	if !ok {
		return
	}
	if said := form.Get("api_url"); said != "" && !sameURL(said, s.URL) {
		c.formError("api_url", inConfiguration)
		return
	}
	_, o := dnsServerOf(s)
	c.success(object{"operation": "edit", "AcmeDnsServer": o})
}

func (c *call) markDNSServer() {
	form, s, ok := c.formOnDNSServer()
	if !ok {
		return
	}
	_, o := dnsServerOf(s)
	switch action := form.Get("action"); {
	case action == "active", action == "global_default" && o["is_global_default"] == true:
		c.success(object{"operation": "mark", "action": action, "AcmeDnsServer": o})
	case action == "inactive", action == "global_default":
		c.formError("action", inConfiguration)
	default:
		c.formError("action", "use active or global_default")
	}
}

func (c *call) checkDNSServer() {
	s, err := c.findDNSServer()
	if err != nil {
		c.fail(err)
		return
	}
	got, err := ask[api.ACMEDNSCheck](c, "POST", "/acmedns/"+url.PathEscape(s.Solver)+"/check", nil)
	if err != nil {
		c.fail(err)
		return
	}
	_, o := dnsServerOf(s)
	out := object{"result": "success", "operation": "check", "health": got.OK, "AcmeDnsServer": o}
	if !got.OK {
		out["result"], out["error"], out["advice"] = "error", got.Problem, got.Advice
	}
	c.json(http.StatusOK, out)
}
