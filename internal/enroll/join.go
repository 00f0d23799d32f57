package enroll

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// Join takes an invitation up: the key of the request is the agent's from now on.
// The invitation is used up in the same transaction.
func (r *Room) Join(ctx context.Context, j api.Join, now time.Time) (api.Identity, error) {
	req, err := pki.ParseRequest([]byte(j.Request))
	if err != nil {
		return api.Identity{}, err
	}
	var id api.Identity
	err = r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		a, err := tx.AgentByJoin(ctx, hashOf(j.Secret), now)
		if certfleet.KindOf(err) == certfleet.NotFound {
			return unknown("the join token was used, has expired, or is not of this manager", "make a new one with certfleet agents invite")
		}
		if err != nil {
			return err
		}
		if id, err = r.sign(a.Label, req.PublicKey, now); err != nil {
			return err
		}
		a.JoinHash, a.JoinUntil = "", time.Time{}
		a.SPKI, a.NextSPKI, a.NotAfter, a.EnrolledAt, a.SeenAt, a.ReportedAt, a.Round = pki.SPKI(req.PublicKey), "", id.NotAfter, now, now, time.Time{}, ""
		if err := tx.SaveAgent(ctx, a); err != nil {
			return err
		}
		return tx.Event(store.WithActor(ctx, "agent:"+a.Label), certfleet.Event{Kind: "agent.joined", Tenant: a.Tenant, Msg: fmt.Sprintf("agent %s joined; its certificate ends %s", a.Label, id.NotAfter.UTC().Format(time.RFC3339))})
	})
	return id, err
}

// Rejoin gives an agent a certificate for its next key. The one it has stays good
// until the next one is used, so a lost answer costs nothing.
func (r *Room) Rejoin(ctx context.Context, a *certfleet.Agent, j api.Rejoin, now time.Time) (api.Identity, error) {
	req, err := pki.ParseRequest([]byte(j.Request))
	if err != nil {
		return api.Identity{}, err
	}
	spki := pki.SPKI(req.PublicKey)
	if spki == a.SPKI {
		return api.Identity{}, invalid("make a new key", "the request is for the key that the agent has already")
	}
	id, err := r.sign(a.Label, req.PublicKey, now)
	if err != nil {
		return id, err
	}
	return id, r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		a.NextSPKI = spki
		return tx.SaveAgent(ctx, a)
	})
}

func (r *Room) sign(name string, pub crypto.PublicKey, now time.Time) (api.Identity, error) {
	ca, err := r.CA()
	if err != nil {
		return api.Identity{}, err
	}
	chain, err := ca.SignClient(pub, name, r.life(), now)
	if err != nil {
		return api.Identity{}, err
	}
	certs, err := pki.ParseCertificates(chain)
	if err != nil {
		return api.Identity{}, err
	}
	return api.Identity{Agent: name, Certificate: string(chain), NotAfter: certs[0].NotAfter}, nil
}
