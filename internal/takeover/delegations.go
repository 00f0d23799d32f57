package takeover

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// drawDelegations plans the accounts at acme-dns servers.
func (d *drawer) drawDelegations(ctx context.Context) error {
	seen := map[certfleet.Name]bool{}
	return d.src.Delegations(ctx, func(list []petersslers.Delegation) error {
		for _, a := range list {
			d.drawDelegation(a, seen)
		}
		return nil
	})
}

func (d *drawer) drawDelegation(a petersslers.Delegation, seen map[certfleet.Name]bool) {
	skip := func(reason, advice string) { d.skip(Delegation, a.ID, a.Domain, reason, advice) }
	name, err := certfleet.ParseName(strings.TrimPrefix(a.Domain, "*."))
	switch {
	case a.Domain == "":
		skip("its domain is not there", "")
	case a.Server == "":
		skip("its acme-dns server is not there", "")
	case err != nil:
		skip(err.Error(), certfleet.AdviceOf(err))
	case !a.Active:
		skip("it is switched off there", "")
	case a.Username == "" || len(a.Password) == 0 || a.FullDomain == "" || a.Subdomain == "":
		skip("its credentials are not complete", "")
	case seen[name]:
		skip("the name has another account in this database", "")
	default:
		seen[name] = true
		d.placeDelegation(name, a)
	}
}

func (d *drawer) placeDelegation(name certfleet.Name, a petersslers.Delegation) {
	solver := d.here.solverAt(a.Server, d.opt.Solver)
	switch {
	case solver == "":
		d.skip(Delegation, a.ID, a.Domain, "no solver of type acmedns is configured for "+a.Server, "add one under solvers in the configuration, with that server, then import again")
	case d.here.delegated[solver][name.String()]:
		d.number("delegation", a.ID, solver+" "+name.String(), false)
		d.put(Item{Noun: Delegation, ID: a.ID, Label: name.String(), State: There})
	default:
		d.number("delegation", a.ID, solver+" "+name.String(), true)
		d.put(Item{Noun: Delegation, ID: a.ID, Label: name.String(), State: Add, act: func(ctx context.Context) error { return d.adopt(ctx, solver, name, a) }})
	}
}

func (d *drawer) adopt(ctx context.Context, solver string, name certfleet.Name, a petersslers.Delegation) error {
	one := client.ACMEDNSAccount{Name: name.String(), Username: a.Username, Password: string(a.Password), FullDomain: a.FullDomain, SubDomain: a.Subdomain}
	var from []string
	if json.Unmarshal([]byte(a.AllowFrom), &from) == nil {
		one.AllowFrom = from
	}
	_, err := d.c.AdoptDelegation(ctx, solver, one)
	return err
}

func (h *here) lookAtDelegations(ctx context.Context, c *client.Client) (err error) {
	if h.solvers, err = c.ACMEDNSServers(ctx); certfleet.KindOf(err) == certfleet.Denied {
		return nil // they are the default tenant's
	}
	if err != nil {
		return err
	}
	for _, s := range h.solvers {
		h.delegated[s.Solver] = map[string]bool{}
		for one, err := range c.Delegations(ctx, s.Solver, client.Paging{Limit: pageSize}) {
			if err != nil {
				return err
			}
			h.delegated[s.Solver][one.Name] = true
		}
	}
	return nil
}

// solverAt is the solver with a server, or the one that was chosen; empty for none.
func (h *here) solverAt(server, chosen string) string {
	for _, s := range h.solvers {
		if s.Solver == chosen || chosen == "" && sameURL(s.URL, server) {
			return s.Solver
		}
	}
	return ""
}

// dnsSolver is the solver of type acmedns for names that are proved by dns-01; empty
// means the only one of any type.
func (h *here) dnsSolver(chosen string) string {
	if chosen == "" && len(h.solvers) == 1 {
		return h.solvers[0].Solver
	}
	return chosen
}
