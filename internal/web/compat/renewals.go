package compat

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// orderFields are the fields of a form that asks for a certificate.
var orderFields = []string{
	"domain_names_http01: names that are proved by http-01, with commas or lines between", "domain_names_dns01: names that are proved by dns-01",
	"processing_strategy: create_order, process_single or process_multi", "label: what to call it",
	"acme_account_id__primary: the account; empty means as the default policy says", "account_key_existing__primary: key_pem_md5 of the account, in place of its id",
	"private_key_generate__primary: key technology such as EC_P256", "private_key_technology__primary: the same", "private_key_cycle__primary: key cycle", "acme_profile__primary: the CA's profile",
	"acme_account_id__backup: an account on another ACME server, for a second certificate that is kept warm", "account_key_existing__backup: key_pem_md5 of the account, in place of its id",
	"private_key_technology__backup: key technology of the second certificate", "private_key_cycle__backup: its key cycle", "acme_profile__backup: its CA's profile",
}

func (h *Handler) renewalRoutes() []route {
	issue := certfleet.ScopeIssue
	var all []route
	for _, some := range [][]route{
		list("/renewal-configurations", renewals("")), list("/renewal-configurations/all", renewals("all")), list("/renewal-configurations/active", renewals("active")), list("/renewal-configurations/disabled", renewals("paused")),
		get("/renewal-configuration/{id}", (*call).renewal),
		post("/renewal-configuration/new", issue, (*call).newRenewal, "Keeps names on a valid certificate from now on.", orderFields...),
		post("/renewal-configuration/{id}/new-order", issue, (*call).newOrder, "Orders now.", "processing_strategy: create_order, process_single or process_multi"),
		post("/renewal-configuration/{id}/new-configuration", issue, (*call).newConfiguration, "Makes another one, and pauses this one.", orderFields...),
		post("/renewal-configuration/{id}/mark", issue, (*call).markRenewal, "Pauses or resumes.", "action: active or inactive; required"),
	} {
		all = append(all, some...)
	}
	return all
}

func renewalOf(r api.Certificate) (int64, object) {
	return r.ID, object{
		"id": r.ID, "label": r.Label, "is_active": r.State == string(certfleet.Active), "domains_challenged": object{"http-01": r.Names}, "note": text(r.Problem),
		"policy": r.Policy, "X509Certificates_5_primary": latest(r), "X509Certificates_5_backup": []object{}, "AcmeChallenge_hints": object{}, "is_save_alternate_chains": true,
	}
}

func latest(r api.Certificate) []object {
	if r.VersionID == 0 {
		return []object{}
	}
	return []object{{"id": r.VersionID, "timestamp_not_after": when(r.NotAfter), "is_active": true}}
}

func renewals(state string) func(*call) {
	return func(c *call) {
		rows, at, err := listed[api.Certificate](c, "/certificates", url.Values{"state": {state}})
		c.show(object{"RenewalConfigurations": row(rows, renewalOf), "pagination": at}, err)
	}
}

func (c *call) readRenewal(id string) (api.Certificate, error) {
	return ask[api.Certificate](c, "GET", "/certificates/"+url.PathEscape(id), nil)
}

func (c *call) renewal() {
	r, err := c.readRenewal(c.id())
	_, o := renewalOf(r)
	c.show(object{"RenewalConfiguration": o}, err)
}

// mostNames bounds how many names a form may hold; CAs take 100 at most.
const mostNames = 1000

// wanted is the certificate that a form asks for. It is called by its first name
// and what its set of names hashes to, so that the same form finds the same one.
func (c *call) wanted(form url.Values) (n api.NewCertificate, field string, err error) {
	if field, err := unheard(form); err != nil {
		return n, field, err
	}
	http01, dns01 := names(form.Get("domain_names_http01")), names(form.Get("domain_names_dns01"))
	if len(http01)+len(dns01) == 0 {
		return n, "domain_names_http01", invalid("give names in domain_names_http01 or domain_names_dns01", "`domain_names_http01` or `domain_names_dns01` must be given")
	}
	if len(http01)+len(dns01) > mostNames {
		return n, "domain_names_http01", invalid("make several certificates", "these are too many names for one certificate")
	}
	for _, d := range dns01 {
		if slices.Contains(http01, d) {
			return n, "domain_names_dns01", invalid("list it once, or use an enrollment factory, which takes a second challenge", "a domain name can only be associated to one challenge type")
		}
	}
	n = api.NewCertificate{Names: append(http01, dns01...), Label: form.Get("label"), Lane: "waiting"}
	for _, s := range n.Names {
		if _, err := certfleet.ParseName(s); err != nil {
			return n, "Error_Main", err
		}
	}
	if len(dns01) > 0 && len(http01) == 0 {
		n.Challenge = string(certfleet.DNS01)
	} else if len(dns01) == 0 {
		n.Challenge = string(certfleet.HTTP01)
	}
	if n.Policy, field, err = c.policyFor(form); err != nil {
		return n, field, err
	}
	if n.Label == "" {
		n.Label = labelOf(n)
	}
	return n, "", nil
}

func labelOf(n api.NewCertificate) string {
	all := slices.Sorted(slices.Values(n.Names))
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join(all, ",")) + " " + n.Policy))
	return strings.ToLower(n.Names[0]) + "-" + hex.EncodeToString(sum[:4])
}

func invalid(advice, msg string) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: msg, Advice: advice}
}

// propose notes the challenge of names that differ from the rest: it is kept with
// the name, and must stand before the certificate is ordered.
func (c *call) propose(form url.Values, certificate string) error {
	dns01 := names(form.Get("domain_names_dns01"))
	if len(dns01) == 0 || len(names(form.Get("domain_names_http01"))) == 0 {
		return nil
	}
	for _, d := range dns01 {
		way := string(certfleet.DNS01)
		if _, err := ask[api.Domain](c, "PATCH", domainPath(d), api.DomainChange{Challenge: &way}); err != nil {
			return err
		}
	}
	_, err := ask[api.CertificateAnswer](c, "POST", "/certificates/"+url.PathEscape(certificate)+"/resume", nil)
	return err
}

// add has the certificate made. One whose names are proved in two ways is paused
// until the ways are noted.
func (c *call) add(form url.Values) (got api.CertificateAnswer, field string, err error) {
	return c.addHeld(form, false)
}

// addHeld is add; a certificate that is new stays paused when it is held, so that
// no worker orders it before the call does.
func (c *call) addHeld(form url.Values, held bool) (got api.CertificateAnswer, field string, err error) {
	n, field, err := c.wanted(form)
	if err != nil {
		return got, field, err
	}
	mixed := len(names(form.Get("domain_names_dns01"))) > 0 && len(names(form.Get("domain_names_http01"))) > 0
	n.Paused = mixed || held && c.isNew(cmp.Or(n.Label, n.Names[0]))
	if got, err = ask[api.CertificateAnswer](c, "POST", "/certificates", n); err != nil || !mixed {
		return got, "", err
	}
	return got, "", c.propose(form, strconv.FormatInt(got.ID, 10))
}

func (c *call) isNew(label string) bool {
	_, err := ask[api.Certificate](c, "GET", "/certificates/"+url.PathEscape(label), nil)
	return certfleet.KindOf(err) == certfleet.NotFound
}

func (c *call) newRenewal() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	got, field, err := c.add(form)
	if err != nil {
		c.failAt(field, err)
		return
	}
	_, o := renewalOf(got.Certificate)
	c.success(object{"RenewalConfiguration": o, "is_duplicate_renewal": !got.Created})
}

// failAt answers what is wrong with one field.
func (c *call) failAt(field string, err error) {
	if msg, _ := said(err); field != "" && certfleet.KindOf(err) == certfleet.Invalid {
		c.formError(field, msg)
		return
	}
	c.fail(err)
}

func (c *call) newConfiguration() {
	old, err := c.readRenewal(c.id())
	if err != nil {
		c.fail(err)
		return
	}
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	got, field, err := c.add(form)
	if err != nil {
		c.failAt(field, err)
		return
	}
	if got.ID != old.ID && old.State == string(certfleet.Active) {
		if _, err := ask[api.CertificateAnswer](c, "POST", "/certificates/"+strconv.FormatInt(old.ID, 10)+"/pause", nil); err != nil {
			c.fail(err)
			return
		}
	}
	_, o := renewalOf(got.Certificate)
	c.success(object{"RenewalConfiguration": o, "is_duplicate_renewal": !got.Created})
}

func (c *call) markRenewal() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	act := map[string]string{"active": "resume", "inactive": "pause"}[form.Get("action")]
	if act == "" {
		c.formError("action", "use active or inactive")
		return
	}
	got, err := ask[api.CertificateAnswer](c, "POST", "/certificates/"+url.PathEscape(c.id())+"/"+act, nil)
	_, o := renewalOf(got.Certificate)
	c.done(object{"operation": "mark", "RenewalConfiguration": o}, err)
}

func (c *call) newOrder() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	if field, err := unheard(form); err != nil {
		c.failAt(field, err)
		return
	}
	r, err := c.readRenewal(c.id())
	if err != nil {
		c.fail(err)
		return
	}
	c.orderAndAnswer(r.ID, form, false)
}

// freeform makes a certificate, or finds it, and orders.
func (c *call) freeform() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	if !slices.Contains(strategies, form.Get("processing_strategy")) {
		c.formError("processing_strategy", "use one of "+strings.Join(strategies, ", "))
		return
	}
	got, field, err := c.addHeld(form, true)
	if err != nil {
		c.failAt(field, err)
		return
	}
	held := got.Created && got.State == string(certfleet.Paused)
	c.orderAndAnswer(got.ID, form, held)
}

var strategies = []string{"create_order", "process_single", "process_multi"}

// orderAndAnswer orders as the form says, and answers success only for what the
// strategy promises.
func (c *call) orderAndAnswer(certificate int64, form url.Values, held bool) {
	how := form.Get("processing_strategy")
	if !slices.Contains(strategies, how) {
		c.formError("processing_strategy", "use one of "+strings.Join(strategies, ", "))
		return
	}
	s, err := c.again(certificate, how, held)
	if err != nil {
		c.fail(err)
		return
	}
	o := c.orderOf(s)
	o["acme_order_processing_strategy"] = how
	if s.State == string(certfleet.OrderFailed) {
		msg := "`pending` AcmeOrder failed an AcmeAuthorization: " + s.Problem
		c.json(http.StatusOK, object{"result": "error", "form_errors": object{"Error_Main": msg}, "error": msg, "AcmeOrder": o, "is_duplicate_renewal": false})
		return
	}
	c.success(object{"AcmeOrder": o})
}

// again opens an order that advances by request, or takes the one that is on its
// way, and goes as far as the strategy says. A held certificate is resumed by it.
func (c *call) again(certificate int64, how string, held bool) (api.OrderStory, error) {
	id := strconv.FormatInt(certificate, 10)
	order, err := c.liveOrder(id)
	if err != nil {
		return api.OrderStory{}, err
	}
	if order == 0 {
		got, err := ask[api.CertificateAnswer](c, "POST", "/certificates/"+id+"/renew", api.Renewal{Manual: true, Force: held})
		if certfleet.KindOf(err) == certfleet.Conflict { // a worker was faster
			if order, _ = c.liveOrder(id); order == 0 {
				return api.OrderStory{}, err
			}
		} else if err != nil {
			if held { // workers order it then
				_, unheld := ask[api.CertificateAnswer](c, "POST", "/certificates/"+id+"/resume", nil)
				err = errors.Join(err, unheld)
			}
			return api.OrderStory{}, err
		} else {
			order = got.OrderID
		}
	}
	if how == "process_single" {
		return c.through(order)
	}
	return c.opened(order)
}

func (c *call) liveOrder(certificate string) (int64, error) {
	p, err := ask[api.Page[api.Order]](c, "GET", "/orders?state=live&limit=1&certificate="+certificate, nil)
	if err != nil || len(p.Items) == 0 {
		return 0, err
	}
	return p.Items[0].ID, nil
}
