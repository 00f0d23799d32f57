package enroll

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

const (
	mostAssigned = 500
	lookEvery    = 2 * time.Second // between two looks while an agent waits
)

// pulled is the agent's own target, if it is one from which agents fetch.
func (r *Room) pulled(ctx context.Context, a *certfleet.Agent) (*certfleet.StoredTarget, error) {
	t, err := r.DB.TargetByLabel(ctx, a.Tenant, a.Target)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("there is no target %q for this agent", a.Target), Advice: "make it with certfleet targets add " + a.Target + " --type pull"}
	}
	if err != nil {
		return nil, err
	}
	if !t.Pulled() {
		return nil, &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("target %q is of type %s: its certificates are pushed", t.Label, t.Type), Advice: "let the manager push, or make the target one of type pull"}
	}
	return t, nil
}

// Assigned answers what waits for an agent, and waits for something to do so for
// at most wait. An agent that is revoked meanwhile is refused.
func (r *Room) Assigned(ctx context.Context, a *certfleet.Agent, wait time.Duration) ([]certfleet.Assignment, error) {
	end := time.Now().Add(wait)
	for {
		t, err := r.pulled(ctx, a)
		if err != nil {
			return nil, err
		}
		if !t.Paused {
			list, err := r.DB.Assignments(ctx, t.ID, mostAssigned)
			if err != nil || len(list) > 0 {
				return list, err
			}
		}
		if time.Until(end) <= 0 {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil // whoever asked is gone, or we end
		case <-time.After(min(lookEvery, time.Until(end))):
		}
		is, err := r.DB.Agent(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		if !is.RevokedAt.IsZero() || is.SPKI != a.SPKI && is.NextSPKI != a.SPKI {
			return nil, unknown("this agent was revoked", "invite it with certfleet agents invite, and join with what that prints")
		}
		a = is
	}
}

// Fetch opens a version for the agent that it is assigned to, and for no other.
// The opening of the key is on record before it leaves.
func (r *Room) Fetch(ctx context.Context, a *certfleet.Agent, version int64) (*api.AgentBundle, error) {
	t, err := r.pulled(ctx, a)
	if err != nil {
		return nil, err
	}
	is, err := r.DB.Assigned(ctx, t.ID, version)
	if certfleet.KindOf(err) == certfleet.NotFound || err == nil && t.Paused {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("version %d is not assigned to this agent", version), Advice: "ask what is assigned to it"}
	}
	if err != nil {
		return nil, err
	}
	v, err := r.DB.Version(ctx, version)
	if err != nil {
		return nil, err
	}
	if v.KeyID == 0 {
		return nil, r.refuse(ctx, is, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the key of version %d is not here", v.ID), Advice: "import the key, or renew the certificate with a key of our own"})
	}
	key, err := r.DB.Key(ctx, v.KeyID)
	if err != nil {
		return nil, err
	}
	pem, err := r.Keys.OpenPEM(ctx, key)
	if err != nil {
		return nil, r.refuse(ctx, is, err)
	}
	defer pem.Wipe()
	if err := r.sent(ctx, is, key.ID); err != nil {
		return nil, err
	}
	return &api.AgentBundle{Assignment: api.OfAssignment(is), Names: certfleet.Strings(v.Names), ChainPEM: string(v.ChainPEM), KeyPEM: string(pem)}, nil
}

// sent puts the opening on record and the delivery under way.
func (r *Room) sent(ctx context.Context, is *certfleet.Assignment, key int64) error {
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if err := tx.KeyOpened(ctx, key, "pull"); err != nil {
			return err
		}
		d, err := tx.Delivery(ctx, is.DeliveryID)
		if err != nil || d.State != certfleet.DeliveryDue && d.State != certfleet.DeliveryFailed {
			return err
		}
		d.State, d.SentAt, d.DueAt = certfleet.DeliverySent, tx.Now(), time.Time{}
		if err := tx.SaveDelivery(ctx, d); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "delivery.sent", Tenant: d.Tenant, CertificateID: d.CertificateID, VersionID: d.VersionID, TargetID: d.TargetID, Msg: fmt.Sprintf("version %d was fetched", d.VersionID)})
	})
}

// refuse notes on the delivery why it cannot be handed out.
func (r *Room) refuse(ctx context.Context, is *certfleet.Assignment, cause error) error {
	err := r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		d, err := tx.Delivery(ctx, is.DeliveryID)
		if err != nil || d.Problem == cause.Error() {
			return err
		}
		d.State, d.Problem, d.Advice, d.DueAt = certfleet.DeliveryFailed, cause.Error(), certfleet.AdviceOf(cause), time.Time{}
		return tx.SaveDelivery(ctx, d)
	})
	if err != nil {
		r.Log.Warn("cannot note on a delivery why it failed", "delivery_id", is.DeliveryID, "err", err)
	}
	return cause
}
