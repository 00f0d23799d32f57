package compat

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) acmednsRoutes() []route {
	var all []route
	for _, some := range [][]route{
		list("/acme-dns-servers", (*call).dnsServers), get("/acme-dns-server/{id}", (*call).dnsServer),
		list("/acme-dns-server/{id}/acme-dns-server-accounts", (*call).dnsAccounts),
		post("/acme-dns-server/{id}/ensure-domains", certfleet.ScopeIssue, (*call).ensureDomains, "Gives each domain an account at the acme-dns server, unless it has one.", "domain_names: names with commas or lines between, at most 100; required"),
		post("/acme-dns-server/{id}/import-domain", certfleet.ScopeAdmin, (*call).importDomain, "Brings a domain's account at the acme-dns server along.",
			"domain_name: required", "username: required", "password: required; it is sealed at once", "fulldomain: required", "subdomain: required", "allowfrom: networks, as a JSON list or with commas between"),
	} {
		all = append(all, some...)
	}
	return all
}

func dnsServerOf(s api.ACMEDNSServer) (int64, object) {
	return s.ID, object{"id": s.ID, "name": s.Solver, "api_url": s.URL, "domain": nil, "is_active": true, "is_global_default": s.ID == 1}
}

func (c *call) dnsServers() {
	rows, at, err := sliced[api.ACMEDNSServer](c, "/acmedns")
	c.show(object{"AcmeDnsServers": row(rows, dnsServerOf), "pagination": at}, err)
}

func (c *call) findDNSServer() (api.ACMEDNSServer, error) {
	all, err := ask[api.Page[api.ACMEDNSServer]](c, "GET", "/acmedns", nil)
	if err != nil {
		return api.ACMEDNSServer{}, err
	}
	for _, s := range all.Items {
		if s.Solver == c.id() || s.ID == c.number() {
			return s, nil
		}
	}
	return api.ACMEDNSServer{}, &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask for one of acme-dns-servers"}
}

func (c *call) dnsServer() {
	s, err := c.findDNSServer()
	_, o := dnsServerOf(s)
	c.show(object{"AcmeDnsServer": o}, err)
}

// dnsAccounts are names with their CNAMEs. What opens the accounts is not shown.
func (c *call) dnsAccounts() {
	s, err := c.findDNSServer()
	if err != nil {
		c.fail(err)
		return
	}
	rows, at, err := listed[api.Delegation](c, "/acmedns/"+url.PathEscape(s.Solver)+"/names", url.Values{})
	out := []object{}
	for _, d := range rows {
		out = append(out, c.dnsAccountOf(s, d))
	}
	c.show(object{"AcmeDnsServerAccounts": out, "pagination": at}, err)
}

func (c *call) dnsAccountOf(s api.ACMEDNSServer, d api.Delegation) object {
	sub, _, _ := strings.Cut(d.Target, ".")
	return object{"id": dnsAccount{s, d}.id(), "AcmeDnsServer": object{"id": s.ID, "api_url": s.URL}, "Domain": c.domainRef(d.Name), "timestamp_created": when(d.CreatedAt),
		"fulldomain": text(strings.TrimSuffix(d.Target, ".")), "subdomain": text(sub), "cname_source": d.Record, "cname_target": text(d.Target)}
}

// domainRef names a domain, with its id where a certificate wants it.
func (c *call) domainRef(name string) object {
	d, err := ask[api.Domain](c, "GET", domainPath(name), nil)
	if err != nil {
		return object{"id": nil, "domain_name": name}
	}
	return object{"id": d.ID, "domain_name": name}
}

// formOnDNSServer reads the form of a call about an acme-dns server, and the server;
// when ok is false the call was answered.
func (c *call) formOnDNSServer() (form url.Values, s api.ACMEDNSServer, ok bool) {
	form, err := c.form()
	if err == nil {
		s, err = c.findDNSServer()
	}
	if err != nil {
		c.fail(err)
	}
	return form, s, err == nil
}

func (c *call) ensureDomains() {
	form, s, ok := c.formOnDNSServer()
	if !ok {
		return
	}
	wanted := names(form.Get("domain_names"))
	if len(wanted) == 0 {
		c.formError("domain_names", "Missing value")
		return
	}
	got, err := ask[api.Page[api.Delegation]](c, "POST", "/acmedns/"+url.PathEscape(s.Solver)+"/ensure", api.EnsureNames{Names: wanted})
	if err != nil {
		c.failAt("domain_names", err)
		return
	}
	c.answerMatrix(s, got.Items)
}

// answerMatrix is a success when every domain has its account.
func (c *call) answerMatrix(s api.ACMEDNSServer, rows []api.Delegation) {
	problem := ""
	for _, d := range rows {
		if d.Problem != "" {
			problem = d.Name + ": " + d.Problem
		}
	}
	out := object{"result": "success", "result_matrix": c.matrix(s, rows)}
	if len(rows) == 0 {
		problem = "an address has no account: give host names"
	}
	if problem != "" {
		out["result"], out["error"] = "error", problem
	}
	c.json(200, out)
}

// matrix is what came of each domain.
func (c *call) matrix(s api.ACMEDNSServer, rows []api.Delegation) object {
	out := object{}
	for _, d := range rows {
		o := object{"Domain": c.domainRef(d.Name), "AcmeDnsServerAccount": c.dnsAccountOf(s, d)}
		if d.Problem != "" {
			o["AcmeDnsServerAccount"], o["error"] = nil, d.Problem
		}
		out[d.Name] = o
	}
	return out
}

func (c *call) importDomain() {
	form, s, ok := c.formOnDNSServer()
	if !ok {
		return
	}
	for _, f := range []string{"domain_name", "username", "password", "fulldomain", "subdomain"} {
		if form.Get(f) == "" {
			c.formError(f, "Missing value")
			return
		}
	}
	d, err := ask[api.Delegation](c, "POST", "/acmedns/"+url.PathEscape(s.Solver)+"/adopt", api.ACMEDNSAccount{Name: form.Get("domain_name"),
		Username: form.Get("username"), Password: form.Get("password"), FullDomain: form.Get("fulldomain"), SubDomain: form.Get("subdomain"), AllowFrom: networks(form.Get("allowfrom"))})
	if err != nil {
		c.failAt("domain_name", err)
		return
	}
	c.answerMatrix(s, []api.Delegation{d})
}

// networks reads a list as the older system shows it, or with commas.
func networks(s string) (out []string) {
	if json.Unmarshal([]byte(s), &out) == nil {
		return out
	}
	return names(s)
}
