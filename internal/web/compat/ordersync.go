package compat

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/certfleet/certfleet/internal/api"
)

// syncOrders asks the CAs about the newest orders on their way, all of them within
// one patience: those that it runs out before are told of as errors.
func (c *call) syncOrders() {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	d := *c
	d.ctx = ctx
	p, err := ask[api.Page[api.Order]](c, "GET", "/orders?"+url.Values{"state": {"live"}, "limit": {strconv.Itoa(perPage)}}.Encode(), nil)
	if err != nil {
		c.fail(err)
		return
	}
	good, bad := []int64{}, []int64{}
	for _, o := range p.Items {
		if _, err := ask[api.OrderStory](&d, "POST", "/orders/"+strconv.FormatInt(o.ID, 10)+"/sync", nil); err != nil {
			bad = append(bad, o.ID)
			continue
		}
		good = append(good, o.ID)
	}
	c.success(object{"operation": "acme-orders/active/acme-server/sync", "AcmeOrderIds": object{"success": good, "error": bad}})
}

// auditOrder is a snapshot of an order and of all that it touches, as it was last
// seen.
func (c *call) auditOrder() {
	s, err := c.readOrder(c.number())
	if err != nil {
		c.fail(err)
		return
	}
	a, err := c.readAccount(strconv.FormatInt(s.AccountID, 10))
	if err != nil {
		c.fail(err)
		return
	}
	account := c.accountOf(a)
	report := object{"AcmeOrder": c.orderOf(s), "AcmeAccount": account, "AcmeServer": object{"id": account["acme_server_id"], "name": s.Authority},
		"PrivateKey": nil, "UniqueFQDNSet": object{"id": nil, "domains_as_list": s.Names}, "AcmeAuthorizations": c.audited(s)}
	if s.KeyID != 0 {
		if k, err := ask[api.Key](c, "GET", "/keys/"+strconv.FormatInt(s.KeyID, 10), nil); err == nil {
			_, report["PrivateKey"] = keyOf(k)
		}
	}
	c.json(http.StatusOK, object{"AuditReport": report})
}

// audited are an order's authorizations, each with the challenges made for it.
func (c *call) audited(s api.OrderStory) []object {
	out := []object{}
	for _, z := range s.Authorizations {
		_, o := c.authorizationOf(z)
		var made []object
		for _, ch := range s.Challenges {
			if ch.AuthorizationID == z.ID {
				_, one := c.challengeOf(ch)
				made = append(made, one)
			}
		}
		o["AcmeChallenges"] = made
		out = append(out, o)
	}
	return out
}
