package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// shopAndBlog has two certificates at target edge, shop at target far too.
func shopAndBlog(t *testing.T) *kit {
	t.Helper()
	k := newKit(t).fleet()
	k.ok("POST", "/v1/targets", `{"label":"far","type":"files","spec":{"dir":"/srv/far"}}`)
	for label, targets := range map[string][]string{"shop": {"edge", "far"}, "blog": {"edge"}} {
		chain, key := pair(t, 90*24*time.Hour, label+".example.com", "www."+label+".example.com")
		k.ok("POST", "/v1/import", body(t, api.Import{Label: label, ChainPEM: chain, KeyPEM: key, Targets: targets}))
	}
	return k
}

// bring has every delivery be as given.
func (k *kit) bring(to certfleet.Delivery) {
	k.t.Helper()
	k.change(func(ctx context.Context, tx *store.Tx) error {
		list, _, err := tx.Deliveries(ctx, store.DeliveryFilter{Limit: 100})
		for i := range list {
			d := &list[i]
			d.State, d.DueAt, d.Held, d.LeaseUntil, d.Attempts = to.State, to.DueAt, to.Held, to.LeaseUntil, 7
			if err == nil {
				err = tx.SaveDelivery(ctx, d)
			}
		}
		return err
	})
}

func TestDeliverTakesWhatHasNotArrivedAndByForceTheRest(t *testing.T) {
	k, later := shopAndBlog(t), time.Now().Add(time.Hour)
	for what, row := range map[string]struct {
		is           certfleet.Delivery
		plain, force int // how many of shop's two are due then
		becomes      certfleet.DeliveryState
	}{
		"waits for its next try":    {certfleet.Delivery{State: certfleet.DeliveryFailed, DueAt: later}, 2, 2, certfleet.DeliveryDue},
		"was sent":                  {certfleet.Delivery{State: certfleet.DeliverySent, DueAt: later}, 2, 2, certfleet.DeliveryDue},
		"lies there, not seen yet":  {certfleet.Delivery{State: certfleet.DeliveryApplied, DueAt: later}, 2, 2, certfleet.DeliveryApplied},
		"lies where nobody looks":   {certfleet.Delivery{State: certfleet.DeliveryApplied}, 0, 2, ""},
		"is served":                 {certfleet.Delivery{State: certfleet.DeliveryServed, DueAt: later}, 0, 2, ""},
		"was stopped by its canary": {certfleet.Delivery{State: certfleet.DeliveryFailed}, 0, 2, ""},
		"is held for a canary":      {certfleet.Delivery{State: certfleet.DeliveryDue, Held: true}, 0, 2, ""},
		"is under way just now":     {certfleet.Delivery{State: certfleet.DeliveryDue, DueAt: later, LeaseUntil: later}, 0, 0, ""},
	} {
		for force, want := range map[bool]int{false: row.plain, true: row.force} {
			k.bring(row.is)
			var got api.Redelivered
			k.ok("POST", "/v1/deliver", body(t, api.DeliverRequest{Name: "shop", Force: force})).into(t, &got)
			if got.Due != want || got.CertificateID == 0 {
				t.Errorf("what %s, force %v: %+v, want %d due", what, force, got, want)
			}
			becomes := row.becomes
			if force {
				becomes = certfleet.DeliveryDue
			}
			if n := k.dueNow(becomes); n != want {
				t.Errorf("what %s, force %v: %d are %s and due now, want %d", what, force, n, becomes, want)
			}
		}
	}
}

// dueNow counts the deliveries that were made due, in a state.
func (k *kit) dueNow(state certfleet.DeliveryState) (n int) {
	k.t.Helper()
	list, _, err := k.db.Deliveries(context.Background(), store.DeliveryFilter{Limit: 100})
	must(k.t, err)
	for _, d := range list {
		if d.State == state && d.Attempts == 0 && !d.Held && time.Since(d.DueAt) >= 0 && !d.DueAt.IsZero() {
			n++
		}
	}
	return n
}

func TestDeliverGoesByCertificateByNameAndByTarget(t *testing.T) {
	k := shopAndBlog(t)
	for ask, want := range map[api.DeliverRequest]int{
		{Name: "shop"}:                                    2,
		{Name: "www.shop.example.com"}:                    2,
		{Target: "edge"}:                                  2,
		{Name: "shop", Target: "edge"}:                    1,
		{Name: "WWW.blog.example.com.", Target: "edge"}:   1,
		{Name: "blog", Target: "far"}:                     0,
		{Name: "www.blog.example.com", Target: "no-such"}: -404,
		{Name: "shap"}:                                    -404,
		{Name: "other.example.com"}:                       -404,
		{}:                                                -422,
	} {
		k.bring(certfleet.Delivery{State: certfleet.DeliveryServed})
		ask.Force = true
		r := k.do(k.tokens[certfleet.ScopeDeliver], "POST", "/v1/deliver", body(t, ask))
		if want < 0 {
			if r.status != -want || r.problem(t).Advice == "" {
				t.Errorf("%+v: %d %s", ask, r.status, r.body)
			}
			continue
		}
		var got api.Redelivered
		r.into(t, &got)
		if r.status != 200 || got.Due != want || (got.TargetID != 0) != (ask.Target != "") {
			t.Errorf("%+v: %d %s, want %d due", ask, r.status, r.body, want)
		}
	}
	for _, scope := range []certfleet.Scope{certfleet.ScopeRead, certfleet.ScopeIssue} {
		if r := k.do(k.tokens[scope], "POST", "/v1/deliver", `{"name":"shop"}`); r.status != 403 || r.problem(t).Advice == "" {
			t.Errorf("with scope %s: %d %s", scope, r.status, r.body)
		}
	}
	if said := k.ok("GET", "/v1/events?kind=delivery.wanted", "").body; !strings.Contains(said, "2 deliveries are due") || !strings.Contains(said, `"actor":"token:`) {
		t.Errorf("it is not on record who asked: %s", said)
	}
}

func TestWhatAnAgentRefusedWaitsForItAgain(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/targets", `{"label":"nat","type":"pull"}`)
	chain, key := pair(t, time.Hour, "shop.example.com")
	k.ok("POST", "/v1/import", body(t, api.Import{Label: "shop", ChainPEM: chain, KeyPEM: key, Targets: []string{"nat"}}))
	k.bring(certfleet.Delivery{State: certfleet.DeliveryFailed}) // the agent tries again by itself
	var got api.Redelivered
	k.ok("POST", "/v1/deliver", `{"name":"shop"}`).into(t, &got)
	if got.Due != 1 || k.dueNow(certfleet.DeliveryDue) != 1 {
		t.Errorf("%d are due", got.Due)
	}
}

func TestWhatWasRemovedIsDeliveredNowhereByForceEither(t *testing.T) {
	k := shopAndBlog(t)
	k.ok("DELETE", "/v1/certificates/shop", "")
	var got api.Redelivered
	k.ok("POST", "/v1/deliver", `{"name":"shop","force":true}`).into(t, &got)
	if got.Due != 0 {
		t.Errorf("%d deliveries of it are due", got.Due)
	}
}
