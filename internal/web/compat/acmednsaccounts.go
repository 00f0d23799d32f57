package compat

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (h *Handler) acmednsAccountRoutes() []route {
	issue, read := certfleet.ScopeIssue, certfleet.ScopeRead
	const whole, one = "Answers the CNAMEs of all accounts.", "/acme-dns-server-account/{id}"
	all := slices.Concat(list("/acme-dns-server-accounts", (*call).allDNSAccounts), get(one, (*call).dnsAccount),
		post(one+"/audit", issue, (*call).auditDNSAccount, "Looks whether the CNAME of the account's domain leads to it. Nothing is changed."),
		get("/acme-dns-server/{id}/ensure-domains-results", (*call).ensured),
		list("/domain/{domain}/acme-dns-server-accounts", (*call).dnsAccountsOfDomain),
		post("/domain/{domain}/acme-dns-server/new", issue, (*call).ensureDomain, "Gives the domain an account at an acme-dns server, unless it has one.", "acme_dns_server_id: an id of acme-dns-servers; required"))
	for _, root := range []string{"/acme-dns-server-accounts", "/acme-dns-server/{id}/acme-dns-server-accounts"} {
		all = append(all, post(root+"/all", read, (*call).dnsAccountsJSON, whole)...)
		all = append(all, route{method: "POST", path: root + "/all.csv", scope: read, do: (*call).dnsAccountsCSV, about: about{Instructions: []string{whole}, Fields: map[string]string{}}})
	}
	return all
}

// dnsAccount is a domain with its account at an acme-dns server.
type dnsAccount struct {
	server api.ACMEDNSServer
	api.Delegation
}

// id follows from the server and the domain; it is short enough to be a number in
// every program that reads JSON.
func (a dnsAccount) id() int64 { return DelegationID(a.server.Solver + " " + a.Name) }

// DelegationID is the id of an account at an acme-dns server, by the solver and the
// name with a space between.
func DelegationID(ref string) int64 { return store.ACMEDNSNumber(ref) }

// mostAccounts bounds how many accounts one request walks over.
const mostAccounts = 200_000

// eachDNSAccount walks over the accounts at the servers until yield is content.
func (c *call) eachDNSAccount(servers []api.ACMEDNSServer, yield func(dnsAccount) bool) error {
	seen := 0
	for _, s := range servers {
		for cursor := ""; seen < mostAccounts; {
			p, err := ask[api.Page[api.Delegation]](c, "GET", "/acmedns/"+url.PathEscape(s.Solver)+"/names?"+url.Values{"limit": {"1000"}, "cursor": {cursor}}.Encode(), nil)
			if err != nil {
				return err
			}
			for _, d := range p.Items {
				if !yield(dnsAccount{s, d}) {
					return nil
				}
			}
			if seen, cursor = seen+len(p.Items), p.Next; cursor == "" {
				break
			}
		}
	}
	return nil
}

// dnsServersMeant are the server that the path means, or all of them.
func (c *call) dnsServersMeant() ([]api.ACMEDNSServer, error) {
	if c.q.PathValue("id") != "" {
		s, err := c.findDNSServer()
		return []api.ACMEDNSServer{s}, err
	}
	all, err := ask[api.Page[api.ACMEDNSServer]](c, "GET", "/acmedns", nil)
	return all.Items, err
}

// dnsAccountsMeant are all accounts that the path means.
func (c *call) dnsAccountsMeant() (all []dnsAccount, err error) {
	servers, err := c.dnsServersMeant()
	if err != nil {
		return nil, err
	}
	return all, c.eachDNSAccount(servers, func(a dnsAccount) bool {
		all = append(all, a)
		return true
	})
}

func (c *call) allDNSAccounts() {
	all, err := c.dnsAccountsMeant()
	rows, at := cut(c, all)
	out := []object{}
	for _, a := range rows {
		out = append(out, c.dnsAccountOf(a.server, a.Delegation))
	}
	c.show(object{"AcmeDnsServerAccounts": out, "pagination": at}, err)
}

// findDNSAccount is the account that the path means: by its id, or by its domain.
func (c *call) findDNSAccount() (dnsAccount, error) {
	all, err := ask[api.Page[api.ACMEDNSServer]](c, "GET", "/acmedns", nil)
	if err != nil {
		return dnsAccount{}, err
	}
	found, err := c.dnsAccountsAt(all.Items, c.id())
	if err == nil && len(found) == 0 {
		err = &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask for one of acme-dns-server-accounts, or by its domain"}
	}
	if err != nil {
		return dnsAccount{}, err
	}
	return found[0], nil
}

func (c *call) dnsAccount() {
	a, err := c.findDNSAccount()
	if err != nil {
		c.fail(err)
		return
	}
	c.json(http.StatusOK, object{"AcmeDnsServerAccount": c.dnsAccountOf(a.server, a.Delegation)})
}

func (c *call) auditDNSAccount() {
	a, err := c.findDNSAccount()
	if err != nil {
		c.fail(err)
		return
	}
	p, err := ask[api.Page[api.DelegationFinding]](c, "POST", "/acmedns/"+url.PathEscape(a.server.Solver)+"/audit", api.EnsureNames{Names: []string{a.Name}})
	if err != nil {
		c.fail(err)
		return
	}
	out := object{"result": "success", "AcmeDnsServerAccount": c.dnsAccountOf(a.server, a.Delegation)}
	for _, f := range p.Items {
		out["audit"] = object{"cname": text(f.CNAME), "txt": text(f.TXT), "problem": text(f.Problem), "advice": text(f.Advice)}
		if f.Problem != "" {
			out["result"], out["error"] = "error", f.Problem
		}
	}
	c.json(http.StatusOK, out)
}

// mostShown bounds how many accounts are shown again: as many as a form ensures.
const mostShown = 100

// ensured shows some accounts again, by their ids.
func (c *call) ensured() {
	s, err := c.findDNSServer()
	if err != nil {
		c.fail(err)
		return
	}
	wanted, rows := names(c.q.URL.Query().Get("acme-dns-server-accounts")), []api.Delegation{}
	if len(wanted) > mostShown {
		c.fail(invalid("ask for fewer at a time", fmt.Sprintf("more than %d accounts are asked for", mostShown)))
		return
	}
	for i := range wanted {
		id, err := c.entered("delegation", wanted[i])
		if err != nil {
			c.fail(err)
			return
		}
		wanted[i] = cmp.Or(id, wanted[i])
	}
	for _, said := range slices.Compact(slices.Sorted(slices.Values(wanted))) {
		found, err := c.dnsAccountsAt([]api.ACMEDNSServer{s}, said)
		if err != nil {
			c.fail(err)
			return
		}
		for _, a := range found {
			rows = append(rows, a.Delegation)
		}
	}
	c.json(http.StatusOK, object{"result": "success", "result_matrix": c.matrix(s, rows)})
}

func (c *call) dnsAccountsOfDomain() {
	name, err := c.name()
	if err != nil {
		c.fail(err)
		return
	}
	servers, err := c.dnsServersMeant()
	if err != nil {
		c.fail(err)
		return
	}
	all, err := c.dnsAccountsAt(servers, strings.TrimPrefix(name.String(), "*."))
	out := []object{}
	for _, a := range all {
		out = append(out, c.dnsAccountOf(a.server, a.Delegation))
	}
	rows, at := cut(c, out)
	c.show(object{"AcmeDnsServerAccounts": rows, "pagination": at}, err)
}

func (c *call) ensureDomain() {
	name, err := c.name()
	if err != nil {
		c.fail(err)
		return
	}
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	c.q.SetPathValue("id", form.Get("acme_dns_server_id"))
	s, err := c.findDNSServer()
	if err != nil {
		c.formError("acme_dns_server_id", "Invalid selection")
		return
	}
	got, err := ask[api.Page[api.Delegation]](c, "POST", "/acmedns/"+url.PathEscape(s.Solver)+"/ensure", api.EnsureNames{Names: []string{name.String()}})
	if err != nil {
		c.fail(err)
		return
	}
	c.answerMatrix(s, got.Items)
}

// dnsAccountsCSV is a table of all accounts. What opens them is not in it.
func (c *call) dnsAccountsCSV() {
	all, err := c.dnsAccountsMeant()
	if err != nil {
		c.fail(err)
		return
	}
	shown, err := c.shownDNSAccounts(all)
	if err != nil {
		c.fail(err)
		return
	}
	c.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	c.w.Header().Set("Content-Disposition", `attachment; filename="acme-dns-server-accounts.csv"`)
	w := csv.NewWriter(c.w)
	_ = w.Write([]string{"id", "username", "password", "cname_source", "cname_target"}) // the caller is gone, or reads it
	for i, a := range all {
		_ = w.Write([]string{strconv.FormatInt(shown[i], 10), "", "", a.Record, a.Target})
	}
	w.Flush()
}

// shownDNSAccounts are the numbers by which accounts are known, in their order.
func (c *call) shownDNSAccounts(all []dnsAccount) ([]int64, error) {
	ids := make([]int64, len(all))
	for i, a := range all {
		ids[i] = a.id()
	}
	has, err := c.renumbered()
	if err != nil || !has {
		return ids, err
	}
	known, err := c.outward("delegation", ids)
	for i, id := range ids {
		if n, ok := known[id]; ok {
			ids[i] = n
		}
	}
	return ids, err
}

func (c *call) dnsAccountsJSON() {
	all, err := c.dnsAccountsMeant()
	if err != nil {
		c.fail(err)
		return
	}
	out := []object{}
	for _, a := range all {
		out = append(out, object{"id": a.id(), "username": nil, "password": nil, "cname_source": a.Record, "cname_target": text(a.Target)})
	}
	c.success(object{"AcmeDnsServerAccounts": out})
}
