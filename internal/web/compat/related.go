package compat

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// relatedRoutes are the lists below one object.
func (h *Handler) relatedRoutes() []route {
	var all []route
	for _, some := range [][]route{
		list("/renewal-configuration/{id}/acme-orders", ordersBy("certificate", (*call).ownRenewal)),
		list("/renewal-configuration/{id}/x509-certificates", (*call).versionsOfRenewal),
		list("/acme-account/{id}/acme-orders", ordersBy("account", (*call).ownAccount)),
		list("/enrollment-factory/{id}/renewal-configurations", (*call).renewalsOfFactory),
		list("/enrollment-factory/{id}/x509-certificates", (*call).versionsOfFactory),
		list("/enrollment-factory/{id}/domains", (*call).domainsOfFactory),
		get("/domain/{domain}/calendar", (*call).calendar),
	} {
		all = append(all, some...)
	}
	for path, of := range map[string]func(names int) bool{"": every, "/all": every, "/single": single, "/multi": multi} {
		all = append(all, list("/domain/{domain}/x509-certificates"+path, certificatesOfDomain(of))...)
		all = append(all, list("/domain/{domain}/renewal-configurations"+path, renewalsOfDomain(of))...)
	}
	return all
}

// The certificates of a domain, by how many names they have.
func every(int) bool    { return true }
func single(n int) bool { return n == 1 }
func multi(n int) bool  { return n > 1 }

// ownRenewal is the id of the certificate that the path means.
func (c *call) ownRenewal() (string, error) {
	r, err := c.readRenewal(c.id())
	return strconv.FormatInt(r.ID, 10), err
}

// ownAccount is the id of the account that the path means.
func (c *call) ownAccount() (string, error) {
	a, err := c.readAccount(c.id())
	return strconv.FormatInt(a.ID, 10), err
}

func ordersBy(filter string, of func(*call) (string, error)) func(*call) {
	return func(c *call) {
		id, err := of(c)
		if err != nil {
			c.fail(err)
			return
		}
		rows, at, err := listed[api.Order](c, "/orders", url.Values{filter: {id}})
		c.show(object{"AcmeOrders": row(rows, shortOrder), "pagination": at}, err)
	}
}

func (c *call) versionsOfRenewal() {
	id, err := c.ownRenewal()
	if err != nil {
		c.fail(err)
		return
	}
	rows, at, err := listed[api.Version](c, "/versions", url.Values{"certificate": {id}})
	c.show(object{"X509Certificates": row(rows, versionOf), "pagination": at}, err)
}

// byFactory chooses what a factory made.
func (c *call) byFactory() (url.Values, error) {
	f, err := ask[api.Factory](c, "GET", "/factories/"+url.PathEscape(c.id()), nil)
	return url.Values{"label": {"factory=" + f.Label}}, err
}

func (c *call) renewalsOfFactory() {
	by, err := c.byFactory()
	if err != nil {
		c.fail(err)
		return
	}
	rows, at, err := listed[api.Certificate](c, "/certificates", by)
	c.show(object{"RenewalConfigurations": row(rows, renewalOf), "pagination": at}, err)
}

func (c *call) versionsOfFactory() {
	by, err := c.byFactory()
	if err != nil {
		c.fail(err)
		return
	}
	rows, at, err := listed[api.Version](c, "/versions", by)
	c.show(object{"X509Certificates": row(rows, versionOf), "pagination": at}, err)
}

// domainsOfFactory are the names of one page of the factory's certificates.
func (c *call) domainsOfFactory() {
	by, err := c.byFactory()
	if err != nil {
		c.fail(err)
		return
	}
	rows, at, err := listed[api.Certificate](c, "/certificates", by)
	out := []object{}
	for _, r := range rows {
		for _, n := range r.Names {
			out = append(out, c.domainRef(n))
		}
	}
	c.show(object{"Domains": out, "pagination": at}, err)
}

// ofDomain are the certificates of the domain that the path means.
func (c *call) ofDomain(keep func(names int) bool) ([]certfleet.Certificate, error) {
	name, err := c.name()
	if err != nil {
		return nil, err
	}
	if _, err := ask[api.Domain](c, "GET", domainPath(name.String()), nil); err != nil {
		return nil, err
	}
	all, err := c.h.DB.CertificatesOf(c.ctx, max(c.who.Tenant, certfleet.DefaultTenant), name)
	return slices.DeleteFunc(all, func(r certfleet.Certificate) bool {
		return r.State == certfleet.Removed || !keep(len(r.Names))
	}), err
}

func renewalsOfDomain(keep func(names int) bool) func(*call) {
	return func(c *call) {
		all, err := c.ofDomain(keep)
		rows, at := cut(c, all)
		out := []object{}
		for i := range rows {
			_, o := renewalOf(api.OfCertificate(&rows[i]))
			out = append(out, o)
		}
		c.show(object{"RenewalConfigurations": out, "pagination": at}, err)
	}
}

// certificatesOfDomain lists what is in use for a domain.
func certificatesOfDomain(keep func(names int) bool) func(*call) {
	return func(c *call) {
		all, err := c.ofDomain(keep)
		all = slices.DeleteFunc(all, func(r certfleet.Certificate) bool { return r.VersionID == 0 })
		rows, at := cut(c, all)
		found := []api.Version{}
		for _, r := range rows {
			var v api.VersionStory
			if v, err = c.readVersionStory(r.VersionID); err != nil {
				break
			}
			found = append(found, v.Version)
		}
		c.show(object{"X509Certificates": keyed(found, versionOf), "pagination": at}, err)
	}
}

// mostCounted bounds the versions that a calendar counts.
const mostCounted = 1000

// calendar counts what was issued for a domain in each week of ISO 8601.
func (c *call) calendar() {
	all, err := c.ofDomain(every)
	weeks := map[string]int{}
	for _, r := range all {
		if err = c.countWeeks(r.ID, weeks); err != nil {
			break
		}
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.json(http.StatusOK, object{"issues": weeks})
}

func (c *call) countWeeks(certificate int64, weeks map[string]int) error {
	p, err := ask[api.Page[api.Version]](c, "GET", "/versions?limit="+strconv.Itoa(mostCounted)+"&certificate="+strconv.FormatInt(certificate, 10), nil)
	for _, v := range p.Items {
		if v.Origin == "issued" {
			weeks[weekOf(v.CreatedAt)]++
		}
	}
	return err
}

// weekOf is a week as the older system writes it, such as 2026.05.
func weekOf(t time.Time) string {
	year, week := t.UTC().ISOWeek()
	return fmt.Sprintf("%d.%02d", year, week)
}
