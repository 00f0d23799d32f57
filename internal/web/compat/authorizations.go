package compat

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) authorizationRoutes() []route {
	issue := certfleet.ScopeIssue
	const one = "/acme-authorization/{id}"
	return slices.Concat(list("/acme-authorizations", (*call).authorizations), get(one, (*call).authorization), list("/acme-challenges", (*call).challenges),
		post(one+"/acme-server/sync", issue, (*call).syncAuthorization, "Asks the CA how the authorization's order stands."),
		post(one+"/acme-server/deactivate", issue, (*call).deactivateAuthorization, "Gives the authorization up."))
}

func (c *call) authorizationOf(z api.Authorization) (int64, object) {
	root := c.prefix + "/acme-authorization/" + strconv.FormatInt(z.ID, 10) + "/acme-server/"
	return z.ID, object{"id": z.ID, "Domain": c.domainRef(z.Name), "acme_status_authorization": z.Status, "authorization_url": z.URL, "wildcard": z.Wildcard, "acme_order_id__created": z.OrderID, "note": text(z.Problem),
		"timestamp_expires": when(z.ExpiresAt), "timestamp_updated": when(z.SeenAt), "url_acme_server_sync": root + "sync", "url_acme_server_deactivate": root + "deactivate"}
}

// challengeOf is a challenge. What answers it is not shown.
func (c *call) challengeOf(ch api.Challenge) (int64, object) {
	return ch.ID, object{"id": ch.ID, "Domain": c.domainRef(ch.Name), "acme_challenge_type": ch.Type, "acme_status_challenge": ch.Status, "challenge_url": ch.URL,
		"timestamp_created": when(ch.IntendedAt), "keyauthorization": nil, "token": nil, "acme_authorization_id": ch.AuthorizationID, "acme_order_id": ch.OrderID}
}

// statuses are the filters of the older lists, as the CA's status.
var statuses = map[string]string{"active": "pending", "processing": "processing"}

// filtered is the CA's status that a list is narrowed by; ok is false for a filter
// that is not known, which was answered.
func (c *call) filtered() (url.Values, bool) {
	said := c.q.URL.Query().Get("status")
	if said == "" {
		return url.Values{}, true
	}
	is, known := statuses[said]
	if !known {
		c.missing()
	}
	return url.Values{"status": {is}}, known
}

func (c *call) authorizations() {
	by, ok := c.filtered()
	if !ok {
		return
	}
	rows, at, err := listed[api.Authorization](c, "/authorizations", by)
	c.show(object{"AcmeAuthorizations": keyed(rows, c.authorizationOf), "pagination": at}, err)
}

func (c *call) challenges() {
	by, ok := c.filtered()
	if !ok {
		return
	}
	rows, at, err := listed[api.Challenge](c, "/challenges", by)
	c.show(object{"AcmeChallenges": keyed(rows, c.challengeOf), "pagination": at}, err)
}

// readAuthorization finds the authorization that the path means in its order, which
// must be the caller's.
func (c *call) readAuthorization() (z api.Authorization, err error) {
	none := &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask for one of acme-authorizations"}
	is, err := c.h.DB.Authorization(c.ctx, c.number())
	if certfleet.KindOf(err) == certfleet.NotFound {
		return z, none
	}
	if err != nil {
		return z, err
	}
	s, err := c.readOrder(is.OrderID)
	if err != nil {
		return z, err
	}
	at := slices.IndexFunc(s.Authorizations, func(z api.Authorization) bool { return z.ID == is.ID })
	if at < 0 {
		return z, none
	}
	return s.Authorizations[at], nil
}

func (c *call) authorization() {
	z, err := c.readAuthorization()
	if err != nil {
		c.fail(err)
		return
	}
	_, o := c.authorizationOf(z)
	c.json(http.StatusOK, object{"AcmeAuthorization": o})
}

func (c *call) syncAuthorization() {
	z, err := c.readAuthorization()
	if err == nil {
		_, err = ask[api.OrderStory](c, "POST", "/orders/"+strconv.FormatInt(z.OrderID, 10)+"/sync", nil)
	}
	c.authorizationDone("acme-server--sync", err)
}

func (c *call) deactivateAuthorization() {
	z, err := c.readAuthorization()
	if err != nil {
		c.fail(err)
		return
	}
	got, err := ask[api.Deactivated](c, "POST", "/authorizations/deactivate", api.Deactivation{IDs: []int64{z.ID}})
	if err == nil && len(got.Failed) > 0 {
		c.formError("Error_Main", got.Failed[0].Problem)
		return
	}
	c.authorizationDone("acme-server--deactivate", err)
}

// authorizationDone shows the authorization as it is after an act.
func (c *call) authorizationDone(operation string, err error) {
	var z api.Authorization
	if err == nil {
		z, err = c.readAuthorization()
	}
	if err != nil {
		c.fail(err)
		return
	}
	_, o := c.authorizationOf(z)
	c.success(object{"operation": operation, "AcmeAuthorization": o})
}
