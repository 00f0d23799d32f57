package compat

import (
	"cmp"
	"net/url"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) systemRoutes() []route {
	return slices.Concat(list("/system-configurations", (*call).systems), get("/system-configuration/{id}", (*call).system),
		post("/system-configuration/{id}/edit", certfleet.ScopeAdmin, (*call).editSystem, "Says which policy counts where none is named: one that does what the form says is found or made.",
			slices.Concat([]string{"acme_account_id__primary: an account; required"}, quartetFields[1:])...))
}

// quartetFields are the fields of a form that say how certificates are got.
var quartetFields = []string{
	"acme_account_id__primary: an account; empty means as the default policy says",
	"private_key_technology__primary: key technology such as EC_P256", "private_key_cycle__primary: key cycle", "acme_profile__primary: the CA's profile",
	"acme_account_id__backup: an account on another ACME server, for a second certificate that is kept warm",
	"private_key_technology__backup: its key technology", "private_key_cycle__backup: its key cycle", "acme_profile__backup: its CA's profile",
}

// systemNames are the system configurations in the order of their ids.
var systemNames = []string{"global", "autocert", "certificate-if-needed"}

// readSystem is the default policy that the path means.
func (c *call) readSystem() (d api.DefaultPolicy, err error) {
	all, err := ask[api.Defaults](c, "GET", "/defaults", nil)
	if err != nil {
		return d, err
	}
	for i, name := range systemNames {
		if c.id() != name && c.number() != int64(i+1) {
			continue
		}
		at := slices.IndexFunc(all.Defaults, func(d api.DefaultPolicy) bool { return d.Purpose == name })
		return all.Defaults[at], nil
	}
	return d, &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask for global, autocert or certificate-if-needed"}
}

// systemOf is a default policy in the older system's words.
func (c *call) systemOf(d api.DefaultPolicy) (object, error) {
	o := object{"id": slices.Index(systemNames, d.Purpose) + 1, "name": d.Purpose, "is_configured": d.Policy != "", "policy": text(d.Policy)}
	return o, c.quartets(o, d.Policy)
}

// quartets adds what a policy says of each role. Without a label it is the one that
// counts where none was set, and without that there is nothing to say.
func (c *call) quartets(o object, label string) error {
	p, err := ask[api.Policy](c, "GET", "/policies/"+url.PathEscape(cmp.Or(label, "default")), nil)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	authority := ""
	if len(p.Authorities) > 0 {
		authority = p.Authorities[0]
	}
	b := api.Backup{}
	if p.Backup != nil {
		b = *p.Backup
	}
	for _, r := range []struct{ role, authority, typ, cycle, profile string }{
		{primary, authority, p.KeyType, p.KeyCycle, p.Profile}, {second, b.Authority, b.KeyType, b.KeyCycle, b.Profile},
	} {
		a, server, err := c.accountAt(r.authority)
		if err != nil {
			return err
		}
		o["acme_account_id"+r.role], o["acme_server_id"+r.role] = or(a), or(server)
		o["private_key_technology"+r.role], o["private_key_cycle"+r.role], o["acme_profile"+r.role] = technology(r.typ), text(r.cycle), text(r.profile)
	}
	return nil
}

// accountAt is the account that orders at an authority go by: the oldest that is
// registered.
func (c *call) accountAt(authority string) (account, server int64, err error) {
	if authority == "" {
		return 0, 0, nil
	}
	ca, err := ask[api.Authority](c, "GET", "/authorities/"+url.PathEscape(authority), nil)
	if err != nil {
		return 0, 0, err
	}
	all, err := ask[api.Page[api.Account]](c, "GET", "/accounts", nil)
	if err != nil {
		return 0, 0, err
	}
	for _, a := range all.Items {
		if a.Authority == authority && a.State == string(certfleet.AccountValid) && (account == 0 || a.ID < account) {
			account = a.ID
		}
	}
	return account, ca.ID, nil
}

func (c *call) systems() {
	all, err := ask[api.Defaults](c, "GET", "/defaults", nil)
	out := []object{}
	for _, d := range all.Defaults {
		var o object
		if o, err = c.systemOf(d); err != nil {
			break
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b object) int { return a["id"].(int) - b["id"].(int) })
	rows, at := cut(c, out)
	c.show(object{"SystemConfigurations": rows, "pagination": at}, err)
}

func (c *call) system() {
	d, err := c.readSystem()
	if err != nil {
		c.fail(err)
		return
	}
	o, err := c.systemOf(d)
	c.show(object{"SystemConfiguration": o}, err)
}

func (c *call) editSystem() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	d, err := c.readSystem()
	if err != nil {
		c.fail(err)
		return
	}
	if form.Get("acme_account_id"+primary) == "" {
		c.formError("acme_account_id"+primary, "Missing value")
		return
	}
	label, field, err := c.policyFor(form)
	if err == nil {
		_, err = ask[api.Defaults](c, "PUT", "/defaults/"+d.Purpose, map[string]string{"policy": label})
	}
	if err != nil {
		c.failAt(field, err)
		return
	}
	d.Policy = label
	o, err := c.systemOf(d)
	c.done(object{"operation": "edit", "SystemConfiguration": o}, err)
}

// globalSystem is the system configuration that lists of accounts come with, null
// where it cannot be read.
func (c *call) globalSystem() any {
	c.q.SetPathValue("id", "global")
	d, err := c.readSystem()
	if err != nil {
		return nil
	}
	o, err := c.systemOf(d)
	if err != nil || o["is_configured"] == false {
		return nil
	}
	return o
}
