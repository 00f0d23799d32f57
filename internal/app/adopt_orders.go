package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/work"
)

// mostOrders bounds how many orders of one account are asked for.
const mostOrders = 10000

// liveOrders asks for each order that was open when the backup was made, whether
// its CA lists orders or not: it may have been issued since.
func (a *adopter) liveOrders(ctx context.Context) error {
	a.say("asking the CAs for the orders that were open")
	for f := (store.OrderFilter{State: "live", Limit: 500}); ; {
		list, next, err := a.DB.Orders(ctx, f)
		if err != nil {
			return err
		}
		for _, o := range list {
			if o.URL == "" || o.Manual {
				continue
			}
			a.out.Orders++
			if err := a.missed(ctx, fmt.Sprintf("order %d", o.ID), a.askOrder(ctx, o.ID)); err != nil {
				return err
			}
		}
		if next == (store.Cursor{}) {
			return nil
		}
		f.After = next
	}
}

// askOrder goes on with an order that has ended at the CA, or is gone there. One
// that is still open waits for the next manager that runs, which can answer
// challenges.
func (a *adopter) askOrder(ctx context.Context, id int64) error {
	err := a.Issue.Sync(ctx, id)
	if err != nil && !isGone(err) {
		return err
	}
	o, rerr := a.DB.Order(ctx, id)
	if rerr != nil || err == nil && o.CAStatus != "valid" && o.CAStatus != "invalid" {
		return rerr
	}
	if err := work.StepOnce(ctx, a.DB, a.Work.Owner, id, a.Issue.Step); err != nil {
		return err
	}
	if o, err = a.DB.Order(ctx, id); err != nil || o.State != certfleet.OrderIssued {
		a.out.Refused++
		return err
	}
	v, err := a.DB.Version(ctx, o.VersionID)
	if err != nil {
		return err
	}
	cert, err := a.DB.Certificate(ctx, o.CertificateID)
	if err != nil {
		return err
	}
	out := a.describe(ctx, found{where: fmt.Sprintf("order %d, which was open", id)}, v, cert)
	out.VersionID, out.InUse = v.ID, true
	return a.tell(out, nil)
}

func isGone(err error) bool {
	p, ok := errors.AsType[*acme.Problem](err)
	return ok && p.Status == 404
}

// accounts asks every CA that lists orders for what it issued.
func (a *adopter) accounts(ctx context.Context) error {
	list, err := a.DB.Accounts(ctx, certfleet.DefaultTenant)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].State != certfleet.AccountValid {
			continue
		}
		a.say("asking for the orders of account " + list[i].Label)
		if err := a.missed(ctx, "account "+list[i].Label, a.account(ctx, &list[i])); err != nil {
			return err
		}
	}
	return nil
}

func (a *adopter) account(ctx context.Context, acct *certfleet.Account) error {
	ca, err := a.DB.Authority(ctx, acct.AuthorityID)
	if err != nil {
		return err
	}
	client, as, err := a.Issue.Identity(ctx, acct.ID)
	if err != nil {
		return err
	}
	known, err := a.knownOrders(ctx, acct.ID)
	if err != nil {
		return err
	}
	info, err := client.AccountInfo(ctx, as)
	if err != nil {
		return err
	}
	for page, n := info.Orders, 0; page != "" && n < mostOrders; n++ { // a page counts too, an empty one is one
		urls, next, err := client.Orders(ctx, as, page)
		if isGone(err) {
			return nil // it names a list that it does not keep
		}
		if err != nil {
			return err
		}
		for _, url := range urls {
			if n++; known[url] {
				continue
			}
			f := found{tenant: acct.Tenant, authority: ca.ID, where: "listed by " + ca.Label}
			if err := a.listed(ctx, client, as, url, f); err != nil {
				return err
			}
		}
		page = next
	}
	return nil
}

// knownOrders are the URLs of the orders that the backup knows.
func (a *adopter) knownOrders(ctx context.Context, account int64) (map[string]bool, error) {
	known := map[string]bool{}
	for f := (store.OrderFilter{AccountID: account, Limit: 1000}); ; {
		list, next, err := a.DB.Orders(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			known[o.URL] = true
		}
		if next == (store.Cursor{}) {
			return known, nil
		}
		f.After = next
	}
}

// listed takes what an unknown order brought, if it brought anything.
func (a *adopter) listed(ctx context.Context, client *acme.Client, as acme.Account, url string, f found) error {
	o, err := client.GetOrder(ctx, as, url)
	if err != nil || o.Status != "valid" || o.Certificate == "" {
		return ignoreGone(err)
	}
	if f.chains, err = client.Certificate(ctx, as, o.Certificate); err != nil || len(f.chains) == 0 {
		return ignoreGone(err)
	}
	if _, err := pki.ParseChain(f.chains[0]); err != nil {
		return err
	}
	return a.take(ctx, f)
}

// ignoreGone passes by what the CA has forgotten.
func ignoreGone(err error) error {
	if isGone(err) {
		return nil
	}
	return err
}
