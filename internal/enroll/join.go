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
// The invitation is good for that one key until it expires, so an agent that lost
// the answer asks again with the same key; any other key is refused.
func (r *Room) Join(ctx context.Context, j api.Join, now time.Time) (api.Identity, error) {
	// A stranger costs one read: neither a signature to check nor a turn at writing.
	if _, err := r.DB.AgentByJoin(ctx, hashOf(j.Secret), now); err != nil {
		return api.Identity{}, uninvited(err)
	}
	req, err := pki.ParseRequest([]byte(j.Request))
	if err != nil {
		return api.Identity{}, err
	}
	var id api.Identity
	err = r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		a, err := tx.AgentByJoin(ctx, hashOf(j.Secret), now)
		spki := pki.SPKI(req.PublicKey)
		if err != nil {
			return uninvited(err)
		}
		if a.SPKI != "" && a.SPKI != spki {
			return uninvited(errUsed)
		}
		if id, err = r.sign(a.Label, req.PublicKey, now); err != nil {
			return err
		}
		return admit(ctx, tx, a, spki, id.NotAfter)
	})
	return id, err
}

var errUsed = &certfleet.Error{Kind: certfleet.NotFound, Msg: "the invitation was taken up with another key"}

// uninvited says no in the same words, whatever is wrong with the invitation.
func uninvited(err error) error {
	if certfleet.KindOf(err) == certfleet.NotFound {
		return unknown("the join token was used, has expired, or is not of this manager", "make a new one with certfleet agents invite")
	}
	return err
}

// admit writes that the agent is known by a key.
func admit(ctx context.Context, tx *store.Tx, a *certfleet.Agent, spki string, end time.Time) error {
	how := "joined"
	if a.SPKI == spki {
		how = "joined again with the same key, so the first answer was lost"
	}
	now := tx.Now()
	a.SPKI, a.NextSPKI, a.NotAfter, a.EnrolledAt, a.SeenAt, a.ReportedAt, a.Round = spki, "", end, now, now, time.Time{}, ""
	a.QuietAt = now.Add(certfleet.AgentSilence)
	if err := tx.SaveAgent(ctx, a); err != nil {
		return err
	}
	return tx.Event(store.WithActor(ctx, "agent:"+a.Label), certfleet.Event{Kind: "agent.joined", Tenant: a.Tenant, Msg: fmt.Sprintf("agent %s %s; its certificate ends %s", a.Label, how, end.UTC().Format(time.RFC3339))})
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
