package compat

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) orderRoutes() []route {
	issue := certfleet.ScopeIssue
	var all []route
	for _, some := range [][]route{
		post("/acme-orders/active/acme-server/sync", issue, (*call).syncOrders, "Asks the CAs how the orders on their way stand, at most 50 of them."), get("/acme-order/{id}/audit", (*call).auditOrder),
		list("/acme-orders", orders("")), list("/acme-orders/all", orders("")), list("/acme-orders/active", orders("live")), list("/acme-orders/finished", orders("issued", "failed")),
		get("/acme-order/{id}", (*call).order1),
		post("/acme-order/new/freeform", issue, (*call).freeform, "Orders a certificate for names.", orderFields...),
		post("/acme-order/{id}/acme-process", issue, orderAct("step", "acme-process"), "Does the next step of the order."),
		post("/acme-order/{id}/acme-finalize", issue, orderAct("step", "acme-finalize"), "Does the next step of the order."),
		post("/acme-order/{id}/acme-server/download-certificate", issue, orderAct("step", "acme-server--download-certificate"), "Fetches the certificate of an order that is valid."),
		post("/acme-order/{id}/acme-server/sync", issue, orderAct("sync", "acme-server--sync"), "Asks the CA how the order stands."),
		post("/acme-order/{id}/acme-server/sync-authorizations", issue, orderAct("sync", "acme-server--sync-authorizations"), "Asks the CA how the order stands."),
		post("/acme-order/{id}/acme-server/deactivate-authorizations", issue, (*call).abandon, "Gives the order's pending authorizations up."),
		post("/acme-order/{id}/mark", issue, (*call).markOrder, "Ends an order by giving its pending authorizations up.", "action: invalid or deactivate; required"),
		post("/acme-order/{id}/retry", issue, (*call).retry, "Orders again after a failure.", "acme_order_retry_strategy: normal or backup; backup is chosen by itself where a name has a second challenge"),
	} {
		all = append(all, some...)
	}
	return all
}

func orders(states ...string) func(*call) {
	return func(c *call) {
		var rows []api.Order
		var at pagination
		for _, s := range states {
			some, where, err := listed[api.Order](c, "/orders", url.Values{"state": {s}})
			if err != nil {
				c.fail(err)
				return
			}
			rows, at.Page, at.Total, at.Next = append(rows, some...), where.Page, at.Total+where.Total, next(at.Next, where.Next)
		}
		slices.SortFunc(rows, func(a, b api.Order) int { return int(b.ID - a.ID) })
		c.json(http.StatusOK, object{"AcmeOrders": row(rows, shortOrder), "pagination": at})
	}
}

func next(a, b *int) *int {
	if a != nil {
		return a
	}
	return b
}

// stages are the words for how far an order is, by our state.
var stages = map[string]string{"wanted": "created_local", "open": "processing_started", "issued": "certificate_downloaded", "failed": "processing_completed_failure"}

// status is the order's ACME status: what the CA last said, or what must follow
// from how it ended here.
func status(o api.Order) string {
	switch {
	case o.State == string(certfleet.OrderIssued):
		return "valid"
	case o.State == string(certfleet.OrderFailed):
		return "invalid"
	case o.CAStatus == "":
		return "*discovered*"
	}
	return o.CAStatus
}

// strategy is how the order goes on: by request, or by itself.
func strategy(o api.Order) string {
	if o.Manual {
		return "process_multi"
	}
	return "process_single"
}

func shortOrder(o api.Order) (int64, object) {
	live := o.State == string(certfleet.OrderWanted) || o.State == string(certfleet.OrderOpen)
	var step, processing any // null of an order that has ended
	if live {
		step, processing = "process", true
	}
	return o.ID, object{
		"id": o.ID, "acme_status_order": status(o), "acme_order_processing_status": stages[o.State], "acme_order_processing_strategy": strategy(o),
		"is_processing": processing, "is_can_acme_process": live, "is_can_mark_invalid": live, "is_can_retry": o.State == string(certfleet.OrderFailed), "is_can_acme_server_deactivate_authorizations": live,
		"domains_as_list": o.Names, "certificate_type": certificateType(o.Slot), "order_url": text(o.URL), "profile": text(o.Profile), "note": text(o.Problem),
		"renewal_configuration_id": o.CertificateID, "x509_certificate_id": or(o.VersionID), "x509_certificate_id__replaces": or(o.Replaces), "AcmeAccount": object{"id": o.AccountID}, "PrivateKey": object{"id": o.KeyID},
		"timestamp_created": when(o.CreatedAt), "timestamp_expires": when(o.ExpiresAt), "timestamp_finalized": when(o.FinishedAt), "acme_process_steps": object{"next_step": step},
	}
}

func certificateType(slot string) string {
	if slot == string(certfleet.SlotBackup) {
		return "managed_backup"
	}
	return "managed_primary"
}

// orderOf is an order with everything that its page shows.
func (c *call) orderOf(s api.OrderStory) object {
	_, o := shortOrder(s.Order)
	left, ids := 0, []int64{}
	for _, a := range s.Authorizations {
		ids = append(ids, a.ID)
		if a.Status == "pending" {
			left++
		}
	}
	root := c.prefix + "/acme-order/" + strconv.FormatInt(s.ID, 10)
	o["acme_authorization_ids"] = ids
	o["AcmeAccount"] = object{"id": s.AccountID, "name": s.Account, "acme_server_name": s.Authority}
	o["RenewalConfiguration"] = object{"id": s.CertificateID, "label": s.Certificate}
	o["X509Certificate"] = nil
	if s.VersionID != 0 {
		o["X509Certificate"] = object{"id": s.VersionID}
	}
	steps := o["acme_process_steps"].(object)
	steps["authorizations"], steps["authorizations_remaining"], steps["finalize"], steps["download"] = len(ids), left, s.CAStatus == "ready", s.CAStatus == "valid"
	for k, act := range map[string]string{"url_acme_process": "acme-process", "url_acme_server_sync": "acme-server/sync", "url_acme_x509_certificate_download": "acme-server/download-certificate", "url_deactivate": "mark?action=deactivate", "url_deactivate_authorizations": "acme-server/deactivate-authorizations"} {
		o[k] = root + "/" + act
	}
	return o
}

func (c *call) readOrder(id int64) (api.OrderStory, error) {
	return ask[api.OrderStory](c, "GET", "/orders/"+strconv.FormatInt(id, 10), nil)
}

func (c *call) order1() {
	s, err := c.readOrder(c.number())
	if err != nil {
		c.fail(err)
		return
	}
	c.json(http.StatusOK, object{"AcmeOrder": c.orderOf(s)})
}

// orderAct does something to an order and shows how it stands then.
func orderAct(act, operation string) func(*call) {
	return func(c *call) {
		s, err := ask[api.OrderStory](c, "POST", "/orders/"+strconv.FormatInt(c.number(), 10)+"/"+act, nil)
		if err != nil {
			c.fail(err)
			return
		}
		c.success(object{"operation": operation, "AcmeOrder": c.orderOf(s)})
	}
}

// abandon gives the pending authorizations up; the CA ends the order then, which
// the next steps see.
func (c *call) abandon() {
	path := "/orders/" + strconv.FormatInt(c.number(), 10)
	got, err := ask[api.Deactivated](c, "POST", "/authorizations/deactivate", api.Deactivation{Order: c.number()})
	if err != nil {
		c.fail(err)
		return
	}
	s, err := c.readOrder(c.number())
	for i := 0; err == nil && s.FinishedAt.IsZero() && len(got.Deactivated) > 0 && i < 3; i++ {
		s, err = ask[api.OrderStory](c, "POST", path+"/step", nil)
	}
	if err != nil {
		c.fail(err)
		return
	}
	if s.FinishedAt.IsZero() {
		c.formError("Error_Main", "the order goes on: it has no pending authorization to give up")
		return
	}
	c.success(object{"operation": "mark", "AcmeOrder": c.orderOf(s)})
}

func (c *call) markOrder() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	if !slices.Contains([]string{"invalid", "deactivate"}, form.Get("action")) {
		c.formError("action", "use invalid or deactivate")
		return
	}
	c.abandon()
}

// retry renews the certificate of an order that failed.
func (c *call) retry() {
	s, err := c.readOrder(c.number())
	if err != nil {
		c.fail(err)
		return
	}
	if s.State != string(certfleet.OrderFailed) {
		c.formError("Error_Main", "AcmeOrder can not be retried; it is "+status(s.Order))
		return
	}
	how := "process_single"
	if s.Manual {
		how = "process_multi"
	}
	again, err := c.again(s.CertificateID, how, false)
	if err != nil {
		c.fail(err)
		return
	}
	o := c.orderOf(again)
	o["acme_order_id__retry_of"] = s.ID
	c.success(object{"operation": "retry", "AcmeOrder": o})
}

// patience bounds how long a request waits for a certificate.
const patience = 90 * time.Second

// through takes an order to its end in this request, or as far as patience goes.
func (c *call) through(id int64) (api.OrderStory, error) {
	path, end := "/orders/"+strconv.FormatInt(id, 10), time.Now().Add(patience)
	for {
		s, err := ask[api.OrderStory](c, "GET", path, nil)
		if err != nil || !s.FinishedAt.IsZero() || time.Now().After(end) {
			return s, err
		}
		// Another node may be at it right now, or have ended it: then it is looked at again.
		s, err = ask[api.OrderStory](c, "POST", path+"/step", nil)
		if err != nil && certfleet.KindOf(err) != certfleet.Conflict {
			return s, err
		}
		if err == nil && !s.FinishedAt.IsZero() {
			return s, nil
		}
		select {
		case <-c.ctx.Done():
			return s, c.ctx.Err()
		case <-time.After(min(max(time.Until(s.DueAt), 50*time.Millisecond), 2*time.Second)):
		}
	}
}

// opened steps an order until the CA knows it, and reads what the CA says of it
// and of its authorizations.
func (c *call) opened(id int64) (api.OrderStory, error) {
	path := "/orders/" + strconv.FormatInt(id, 10)
	for range 20 {
		s, err := ask[api.OrderStory](c, "POST", path+"/step", nil)
		if certfleet.KindOf(err) == certfleet.Conflict { // another node is at it right now
			s, err = c.rested(id)
		}
		if err != nil || !s.FinishedAt.IsZero() {
			return s, err
		}
		if s.URL != "" {
			return ask[api.OrderStory](c, "POST", path+"/sync", nil)
		}
	}
	return c.readOrder(id)
}

// rested reads an order after a moment.
func (c *call) rested(id int64) (api.OrderStory, error) {
	select {
	case <-c.ctx.Done():
		return api.OrderStory{}, c.ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return c.readOrder(id)
	}
}
