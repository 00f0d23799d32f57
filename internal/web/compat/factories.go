package compat

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) factoryRoutes() []route {
	issue, admin := certfleet.ScopeIssue, certfleet.ScopeAdmin
	fields := append([]string{"label_template: of the certificate's label; {DOMAIN} and {NIAMOD} stand in it", "domain_template_http01: names by http-01, such as {DOMAIN},www.{DOMAIN}", "domain_template_dns01: names by dns-01",
		"acme_challenge_duplicate_strategy: no_duplicates, http_01__dns_01 or dns_01__http_01", "note: what it is for"}, quartetFields...)
	return slices.Concat(
		list("/enrollment-factorys", (*call).factories), get("/enrollment-factory/{id}", (*call).factory),
		post("/enrollment-factorys/new", admin, (*call).newFactory, "Makes an enrollment factory.", append([]string{"name: what to call it; required"}, fields...)...),
		post("/enrollment-factory/{id}/edit", admin, (*call).editFactory, "Changes an enrollment factory. What is left out stays, and so does what it made.", fields...),
		post("/enrollment-factory/{id}/onboard", issue, (*call).onboard, "Makes the certificate of a domain.", "domain_name: required", "note: kept with the event"),
		post("/enrollment-factory/{id}/query", certfleet.ScopeRead, (*call).queryFactory, "Says what there is for a domain.", "domain_name: required"))
}

func factoryOf(f api.Factory) (int64, object) {
	return f.ID, object{"id": f.ID, "name": f.Label, "note": text(f.Note), "label_template": f.LabelTemplate, "acme_challenge_duplicate_strategy": f.Duplicates,
		"domain_template_http01": f.HTTP01, "domain_template_dns01": f.DNS01, "policy": f.Policy}
}

func (c *call) factories() {
	rows, at, err := sliced[api.Factory](c, "/factories")
	c.show(object{"EnrollmentFactorys": row(rows, factoryOf), "pagination": at}, err)
}

func (c *call) readFactory(id string) (api.Factory, error) {
	return ask[api.Factory](c, "GET", "/factories/"+url.PathEscape(id), nil)
}

func (c *call) factory() {
	f, err := c.readFactory(c.id())
	_, o := factoryOf(f)
	if err == nil {
		err = c.quartets(o, f.Policy)
	}
	c.show(object{"EnrollmentFactory": o}, err)
}

func (c *call) newFactory() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	name := form.Get("name")
	if name == "" {
		c.formError("name", "Missing value")
		return
	}
	if _, err := c.readFactory(name); certfleet.KindOf(err) != certfleet.NotFound {
		c.formError("name", "An EnrollmentFactory already exists with this name.")
		return
	}
	c.saveFactory(form, api.Factory{Label: name}, "new")
}

func (c *call) editFactory() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	f, err := c.readFactory(c.id())
	if err != nil {
		c.fail(err)
		return
	}
	if s := form.Get("name"); s != "" && s != f.Label {
		c.formError("name", "a factory keeps its name")
		return
	}
	c.saveFactory(form, f, "edit")
}

// saveFactory changes what a form says of a factory.
func (c *call) saveFactory(form url.Values, f api.Factory, operation string) {
	field, err := unheard(form)
	if err == nil {
		field, err = c.settle(form, &f)
	}
	var got api.Factory
	if err == nil {
		got, err = ask[api.Factory](c, "PUT", "/factories/"+url.PathEscape(f.Label), f)
	}
	if err != nil {
		c.failAt(field, err)
		return
	}
	_, o := factoryOf(got)
	c.json(http.StatusOK, object{"result": "success", "operation": operation, "EnrollmentFactory": o})
}

// settle reads a form into a factory. The id is the server's.
func (c *call) settle(form url.Values, f *api.Factory) (field string, err error) {
	f.ID = 0
	if form.Has("label_template") {
		f.LabelTemplate = form.Get("label_template")
	}
	if form.Has("note") {
		f.Note = form.Get("note")
	}
	if form.Has("domain_template_http01") {
		f.HTTP01 = certfleet.ParseTemplates(form.Get("domain_template_http01"))
	}
	if form.Has("domain_template_dns01") {
		f.DNS01 = certfleet.ParseTemplates(form.Get("domain_template_dns01"))
	}
	if s := form.Get("acme_challenge_duplicate_strategy"); s != "" {
		f.Duplicates = s
	}
	label, field, err := c.policyFor(form)
	if label != "" {
		f.Policy = label
	}
	return field, err
}
