package takeover

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// drawDelegations plans the accounts at acme-dns servers.
func (d *drawer) drawDelegations(ctx context.Context) error {
	seen := map[certfleet.Name]bool{}
	return d.src.Delegations(ctx, func(list []petersslers.Delegation) error {
		for _, a := range list {
			if err := d.drawDelegation(ctx, a, seen); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *drawer) drawDelegation(ctx context.Context, a petersslers.Delegation, seen map[certfleet.Name]bool) error {
	skip := func(reason, advice string) error {
		d.skip(Delegation, a.ID, a.Domain, reason, advice)
		return nil
	}
	name, err := certfleet.ParseName(strings.TrimPrefix(a.Domain, "*."))
	switch {
	case a.Domain == "":
		return skip("its domain is not there", "")
	case a.Server == "":
		return skip("its acme-dns server is not there", "")
	case err != nil:
		return skip(err.Error(), certfleet.AdviceOf(err))
	case !a.Active:
		return skip("it is switched off there", "")
	case a.Username == "" || len(a.Password) == 0 || a.FullDomain == "" || a.Subdomain == "":
		return skip("its credentials are not complete", "")
	case seen[name]:
		return skip("the name has another account in this database", "")
	case d.opt.DNS == nil:
		return skip(d.opt.WhyNot.Error(), certfleet.AdviceOf(d.opt.WhyNot))
	}
	seen[name] = true
	has, err := d.opt.DNS.Has(ctx, name)
	if err != nil {
		return err
	}
	if has {
		d.put(Item{Noun: Delegation, ID: a.ID, Label: name.String(), State: There})
		return nil
	}
	d.put(Item{Noun: Delegation, ID: a.ID, Label: name.String(), State: Add, act: func(ctx context.Context) error { return d.opt.DNS.Import(ctx, fileOf(name, a)) }})
	return nil
}

// fileOf writes an account as acme-dns clients keep it.
func fileOf(name certfleet.Name, a petersslers.Delegation) *bytes.Reader {
	one := map[string]any{"username": a.Username, "password": string(a.Password), "fulldomain": a.FullDomain, "subdomain": a.Subdomain, "server_url": a.Server}
	var from []string
	if json.Unmarshal([]byte(a.AllowFrom), &from) == nil && len(from) > 0 {
		one["allowfrom"] = from
	}
	b, _ := json.Marshal(map[string]any{name.String(): one}) // it is made of texts alone
	return bytes.NewReader(b)
}
