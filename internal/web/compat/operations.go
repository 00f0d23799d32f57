package compat

import (
	"net"
	"net/http"
	"net/url"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) operationRoutes() []route {
	issue := certfleet.ScopeIssue
	var all []route
	for _, some := range [][]route{
		get("/api/version", (*call).release), h.routineRoutes(), h.nginxRoutes(),
		list("/enrollment-factorys", (*call).factories), get("/enrollment-factory/{id}", (*call).factory),
		post("/enrollment-factory/{id}/onboard", issue, (*call).onboard, "Makes the certificate of a domain.", "domain_name: required", "note: kept with the event"),
		post("/enrollment-factory/{id}/query", certfleet.ScopeRead, (*call).queryFactory, "Says what there is for a domain.", "domain_name: required"),
	} {
		all = append(all, some...)
	}
	return all
}

func (c *call) release() {
	r, err := ask[api.Release](c, "GET", "/version", nil)
	c.show(object{"version": r.Release, "config_uri-path": nil, "config_uri-contents": nil, "mac_uuid": nil}, err)
}

func factoryOf(f api.Factory) (int64, object) {
	return f.ID, object{"id": f.ID, "name": f.Label, "note": text(f.Note), "label_template": f.LabelTemplate, "acme_challenge_duplicate_strategy": f.Duplicates,
		"domain_template_http01": f.HTTP01, "domain_template_dns01": f.DNS01, "policy": f.Policy}
}

func (c *call) factories() {
	rows, at, err := sliced[api.Factory](c, "/factories")
	c.show(object{"EnrollmentFactorys": row(rows, factoryOf), "pagination": at}, err)
}

func (c *call) factory() {
	f, err := ask[api.Factory](c, "GET", "/factories/"+url.PathEscape(c.id()), nil)
	_, o := factoryOf(f)
	c.show(object{"EnrollmentFactory": o}, err)
}

func (c *call) onboard() {
	form, name, ok := c.named()
	if !ok {
		return
	}
	got, err := ask[api.Onboarded](c, "POST", "/factories/"+url.PathEscape(c.id())+"/onboard", api.Onboarding{Domains: []string{name.String()}, Note: form.Get("note")})
	if err != nil {
		c.fail(err)
		return
	}
	e := got.Domains[0]
	if e.Problem != "" {
		c.formError("domain_name", e.Problem)
		return
	}
	_, o := renewalOf(*e.Certificate)
	c.success(object{"RenewalConfiguration": o, "is_duplicate_renewal": !e.Created})
}

func (c *call) queryFactory() {
	_, name, ok := c.named()
	if !ok {
		return
	}
	e, err := ask[api.Enrollment](c, "GET", "/factories/"+url.PathEscape(c.id())+"/query?domain="+url.QueryEscape(name.String()), nil)
	if err != nil {
		c.fail(err)
		return
	}
	out := object{"domain_name": e.Domain, "RenewalConfiguration": nil, "X509Certificates": []object{}}
	if e.Certificate != nil {
		_, out["RenewalConfiguration"] = renewalOf(*e.Certificate)
		out["X509Certificates"] = latest(*e.Certificate)
	}
	c.success(out)
}

// whoami answers the host name that the server believes it was asked for.
func whoami(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Peter-SSLers", "production")
	_, _ = w.Write([]byte(hostOnly(q.Host))) // the caller is gone, or reads it
}

// hostOnly is a Host header without its port.
func hostOnly(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return s
}
