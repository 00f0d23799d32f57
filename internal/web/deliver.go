package web

import (
	"context"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) deliverRoutes() {
	on(s, "POST", "/v1/deliver", route{certfleet.ScopeDeliver, "deliver", "deliveries", "Deliver again",
		"Of a certificate, to a target, or both. Without force what has arrived is left alone; with it a version that a canary stopped has another try."}, s.deliver)
}

func (s *server) deliver(ctx context.Context, in *ask[api.DeliverRequest]) (*out[api.Redelivered], error) {
	r := in.Body
	if r.Name == "" && r.Target == "" {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "it is not said what to deliver", Advice: "name a certificate, a target, or both"}
	}
	c, err := s.certificateOf(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	t, err := s.targetID(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	var n int64
	err = s.write(ctx, func(tx *store.Tx) (err error) {
		if t == 0 {
			n, err = tx.CertificateAgain(ctx, c, r.Force)
		} else {
			n, err = tx.DeliverAgain(ctx, t, c, r.Force)
		}
		if err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "delivery.wanted", Tenant: tenant(ctx), TargetID: t, CertificateID: c, Msg: fmt.Sprintf("%d deliveries are due", n)})
	})
	if err != nil {
		return nil, err
	}
	return answer(api.Redelivered{Due: int(n), CertificateID: c, TargetID: t}), nil
}

// certificateOf is the id of the certificate with a label, or of the newest one that
// wants a host name; zero when nothing is named.
func (s *server) certificateOf(ctx context.Context, word string) (int64, error) {
	id, missing := s.certificateID(ctx, word)
	if certfleet.KindOf(missing) != certfleet.NotFound {
		return id, missing
	}
	name, err := certfleet.ParseName(word)
	if err != nil {
		return 0, missing
	}
	list, err := s.DB.CertificatesOf(ctx, tenant(ctx), name)
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, missing
	}
	return list[0].ID, nil
}
