package compat

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/edge"
)

func (h *Handler) domainRoutes() []route {
	var all []route
	for _, some := range [][]route{
		list("/domains", (*call).domains), get("/domain/{domain}", (*call).domain),
		post("/domains/search", certfleet.ScopeRead, (*call).searchDomains, "Looks for a domain.", "domain: part of the name; required"),
		post("/api/domain/certificate-if-needed", certfleet.ScopeIssue, (*call).ifNeeded, "Answers the certificate of a domain, or orders one and waits for it.",
			append([]string{"domain_name: one host name; required", "processing_strategy: process_single; required"}, orderFields[4:]...)...),
	} {
		all = append(all, some...)
	}
	return all
}

// domainPath is where the API has a name.
func domainPath(name string) string { return "/domains/" + url.PathEscape(name) }

func plainDomain(d api.Domain) (int64, object) {
	suffix := ""
	if _, rest, ok := strings.Cut(d.Registered, "."); ok {
		suffix = rest
	}
	kind := "hostname"
	if d.Registered == "" {
		kind = "ipv4"
		if strings.Contains(d.Name, ":") {
			kind = "ipv6"
		}
	}
	return d.ID, object{"id": d.ID, "domain_name": d.Name, "registered": text(d.Registered), "suffix": text(suffix), "address_type": kind, "acme_challenge_domain_name": "_acme-challenge." + strings.TrimPrefix(d.Name, "*.")}
}

func (c *call) domains() {
	rows, at, err := listed[api.Domain](c, "/domains", url.Values{})
	c.show(object{"Domains": keyed(rows, plainDomain), "pagination": at}, err)
}

func (c *call) domain() {
	c.q.SetPathValue("domain", bare(c.q.PathValue("domain")))
	name, err := c.name()
	if err != nil {
		c.fail(err)
		return
	}
	d, err := ask[api.Domain](c, "GET", domainPath(name.String()), nil)
	if err != nil {
		c.fail(err)
		return
	}
	_, o := plainDomain(d)
	single, multi, err := c.latestOf(name)
	o["certificate__latest_single"], o["certificate__latest_multi"] = single, multi
	c.show(object{"Domain": o, "AcmeChallenges_Active": object{}}, err)
}

// latestOf is the longest-lived certificate for just this name, and for others too.
func (c *call) latestOf(name certfleet.Name) (single, multi any, err error) {
	list, err := c.h.DB.CertificatesOf(c.ctx, max(c.who.Tenant, certfleet.DefaultTenant), name)
	if err != nil {
		return nil, nil, err
	}
	var one, many time.Time
	for _, r := range list {
		if r.VersionID == 0 {
			continue
		}
		o := object{"id": r.VersionID, "timestamp_not_after": when(r.NotAfter), "days_to_expiry": int(time.Until(r.NotAfter).Hours() / 24), "is_active": r.NotAfter.After(time.Now())}
		switch {
		case len(r.Names) == 1 && r.NotAfter.After(one):
			one, single = r.NotAfter, o
		case len(r.Names) > 1 && r.NotAfter.After(many):
			many, multi = r.NotAfter, o
		}
	}
	return single, multi, nil
}

func (c *call) searchDomains() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	if form.Get("domain") == "" {
		c.formError("domain", "Missing value")
		return
	}
	rows, at, err := listed[api.Domain](c, "/domains", url.Values{"part": {form.Get("domain")}})
	c.done(object{"search_results": object{"Domains": keyed(rows, plainDomain)}, "pagination": at}, err)
}

// ifNeeded answers what a name has, and orders where it has nothing that is valid.
func (c *call) ifNeeded() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	if len(names(form.Get("domain_name"))) > 1 {
		c.formError("domain_name", "This endpoint currently supports only 1 domain name.")
		return
	}
	if form.Get("processing_strategy") != "process_single" {
		c.formError("processing_strategy", "use process_single")
		return
	}
	name, msg := oneName(form)
	if msg != "" {
		c.formError("domain_name", msg)
		return
	}
	out := object{"domain.status": "existing", "x509_certificate.status": "exists", "acme_order.id": nil}
	p, err := c.find(name)
	switch {
	case err == nil && !p.Expired:
		out["x509_certificate.id"], out["domain.id"] = p.Version, p.DomainID
	case err != nil && certfleet.KindOf(err) != certfleet.NotFound:
		c.fail(err)
		return
	default:
		if !c.orderNeeded(form, name, out) {
			return
		}
	}
	c.success(object{"domain_results": object{name.String(): out}})
}

// orderNeeded orders for one name and waits; it answers itself what went wrong.
func (c *call) orderNeeded(form url.Values, name certfleet.Name, out object) bool {
	if _, err := ask[api.Domain](c, "GET", domainPath(name.String()), nil); err != nil {
		out["domain.status"] = "new"
	}
	form.Set("domain_names_http01", name.String())
	form.Del("domain_names_dns01")
	got, field, err := c.add(form)
	if err != nil {
		c.failAt(field, err)
		return false
	}
	s, err := c.again(got.ID, "process_single", false)
	if err != nil {
		c.fail(err)
		return false
	}
	if s.VersionID == 0 {
		c.json(http.StatusOK, object{"result": "error", "form_errors": object{"Error_Main": failed(s)}, "AcmeOrder": object{"id": s.ID}})
		return false
	}
	out["x509_certificate.id"], out["x509_certificate.status"], out["acme_order.id"] = s.VersionID, "new", s.ID
	if d, err := ask[api.Domain](c, "GET", domainPath(name.String()), nil); err == nil {
		out["domain.id"] = d.ID
	}
	_, _ = c.h.Edge.Find(c.ctx, edge.Asked{Tenant: c.who.Tenant, Edge: c.edge(), Name: name, Fresh: true}) // what was kept of the name is stale
	return true
}

// failed says what came of an order, with its id.
func failed(s api.OrderStory) string {
	if s.Problem == "" {
		return fmt.Sprintf("AcmeOrder %d is not ready yet; ask again", s.ID)
	}
	return fmt.Sprintf("AcmeOrder %d failed: %s", s.ID, s.Problem)
}
