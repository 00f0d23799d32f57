package web

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) targetRoutes() {
	const tag, path = "targets", "/v1/targets"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-targets", tag, "List targets", ""}, s.listTargets)
	on(s, "POST", path, route{certfleet.ScopeAdmin, "add-target", tag, "Make a target", "Idempotent by label. A target may run programs on the server, so this needs scope admin."}, s.addTarget)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-target", tag, "Read a target", ""}, s.getTarget)
	on(s, "PUT", path+"/{id}", route{certfleet.ScopeAdmin, "put-target", tag, "Make a target, or change it to be so", "The path names it by label."}, s.putTarget)
	on(s, "PATCH", path+"/{id}", route{certfleet.ScopeAdmin, "change-target", tag, "Change a target", "What is absent stays."}, s.changeTarget)
	on(s, "POST", path+"/{id}/deliver", route{certfleet.ScopeDeliver, "deliver-target", tag, "Deliver to a target again", ""}, s.deliverTarget)
	s.primeRoutes()
	s.targetEdgeRoutes()
	on(s, "GET", "/v1/target-types", route{certfleet.ScopeRead, "list-target-types", tag, "List the kinds of target and their settings", ""}, s.listTargetTypes)
	on(s, "GET", "/v1/deliveries", route{certfleet.ScopeRead, "list-deliveries", "deliveries", "List deliveries, newest first", ""}, s.listDeliveries)
	on(s, "GET", "/v1/deliveries/{id}", route{certfleet.ScopeRead, "get-delivery", "deliveries", "Read a delivery with what probes saw", ""}, s.getDelivery)
}

func (s *server) listTargets(ctx context.Context, q *api.TargetQuery) (*page[api.Target], error) {
	l, err := labels(q.Label)
	if err != nil {
		return nil, err
	}
	after, err := readCursor(ctx, q.Cursor)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Targets(ctx, tenant(ctx), l, after, q.Limit)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfTarget), nil
}

func (s *server) getTarget(ctx context.Context, in *ByID) (*out[api.Target], error) {
	t, err := s.target(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(api.OfTarget(t)), nil
}

func (s *server) addTarget(ctx context.Context, in *makeOne[api.Target]) (*out[api.Target], error) {
	return remembered(ctx, s, "add-target", in, func() (api.Target, error) { return s.saveTarget(ctx, in.Body, intake.Create) })
}

func (s *server) putTarget(ctx context.Context, in *askID[api.Target]) (*out[api.Target], error) {
	if t, err := s.target(ctx, in.ID); err == nil {
		in.ID = t.Label
	}
	in.Body.Label = in.ID
	t, err := s.saveTarget(ctx, in.Body, intake.Ensure)
	return &out[api.Target]{t}, err
}

func (s *server) changeTarget(ctx context.Context, in *askID[api.TargetChange]) (*out[api.Target], error) {
	row, err := s.target(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	t := api.OfTarget(row)
	if in.Body.Labels != nil {
		t.Labels = nil
	}
	t.Spec = nil
	if in.Body.Spec == nil { // what is stored, not what is shown of it
		_ = json.Unmarshal(row.Spec, &t.Spec) // it was JSON when it was stored
	}
	if err := merge(&t, in.Body); err != nil {
		return nil, err
	}
	t, err = s.saveTarget(ctx, t, intake.Ensure)
	return &out[api.Target]{t}, err
}

func (s *server) saveTarget(ctx context.Context, t api.Target, m intake.Mode) (api.Target, error) {
	row, err := s.intake(ctx).PutTarget(ctx, t, m)
	if err != nil {
		return api.Target{}, err
	}
	return api.OfTarget(row), nil
}

func (s *server) deliverTarget(ctx context.Context, in *mayAskID[api.Redelivery]) (*out[api.Redelivered], error) {
	t, err := s.target(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	c, err := s.certificateID(ctx, in.given().Certificate)
	if err != nil {
		return nil, err
	}
	var n int64
	err = s.write(ctx, func(tx *store.Tx) error {
		if n, err = tx.DeliverAgain(ctx, t.ID, c, in.given().Force); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "target.delivery_wanted", Tenant: t.Tenant, TargetID: t.ID, CertificateID: c, Msg: strconv.FormatInt(n, 10) + " deliveries to " + t.Label + " are due"})
	})
	if err != nil {
		return nil, err
	}
	return answer(api.Redelivered{Due: int(n)}), nil
}

func (s *server) listTargetTypes(context.Context, *none) (*page[api.TargetType], error) {
	p := &page[api.TargetType]{Body: api.Page[api.TargetType]{Items: []api.TargetType{}}}
	if s.Acts.TargetTypes != nil {
		p.Body.Items = s.Acts.TargetTypes()
	}
	return p, nil
}

func (s *server) listDeliveries(ctx context.Context, q *api.DeliveryQuery) (*page[api.Delivery], error) {
	f := store.DeliveryFilter{Tenant: tenant(ctx), State: q.State, VersionID: q.Version, Limit: q.Limit}
	if err := oneOf("state", q.State, "due", "sent", "applied", "served", "failed", "superseded", "open"); err != nil {
		return nil, err
	}
	var err error
	if f.CertificateID, f.Labels, f.After, err = s.narrow(ctx, q.Certificate, q.Label, q.Cursor); err != nil {
		return nil, err
	}
	if f.TargetID, err = s.targetID(ctx, q.Target); err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Deliveries(ctx, f)
	if err != nil {
		return nil, err
	}
	out := paged(ctx, rows, next, api.OfDelivery)
	return out, s.nameCertificates(ctx, out.Body.Items)
}

// nameCertificates fills in the labels of the deliveries' certificates.
func (s *server) nameCertificates(ctx context.Context, list []api.Delivery) error {
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].CertificateID
	}
	labels, err := s.DB.CertificateLabels(ctx, ids)
	for i := range list {
		list[i].Certificate = labels[list[i].CertificateID]
	}
	return err
}

func (s *server) getDelivery(ctx context.Context, in *byNumber) (*out[api.DeliveryStory], error) {
	d, err := s.DB.Delivery(ctx, in.ID)
	if certfleet.KindOf(err) == certfleet.NotFound || err == nil && d.Tenant != tenant(ctx) {
		return nil, missing("delivery", strconv.FormatInt(in.ID, 10))
	}
	if err != nil {
		return nil, err
	}
	t, err := s.DB.Target(ctx, d.TargetID)
	if err != nil {
		return nil, err
	}
	d.Target = t.Label
	sights, err := s.DB.Sightings(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	one := []api.Delivery{api.OfDelivery(d)}
	if err := s.nameCertificates(ctx, one); err != nil {
		return nil, err
	}
	return answer(api.DeliveryStory{Delivery: one[0], Sightings: api.All(sights, api.OfSighting)}), nil
}
