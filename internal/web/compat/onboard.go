package compat

import (
	"net/url"

	"github.com/certfleet/certfleet/internal/api"
)

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
