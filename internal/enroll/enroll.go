// Package enroll is the manager's side of agents: it gives them identities, takes
// their reports, and hands out what is assigned to them, and nothing else.
//
//	invite --token--> join --certificate--> active --renews by itself--> active
//	                                          \--revoke--> refused at once
//
// An agent is known by its public key, which its row names; the certificate only
// proves that the private CA knew it once. Our own clock is trusted.
package enroll

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// Life is how long an agent's client certificate lasts when the Room says
// nothing. It is renewed at half of that.
const Life = 90 * 24 * time.Hour

// Room gives identities and takes reports. All but Life must be set.
type Room struct {
	DB   *store.DB
	Keys *keystore.Keystore
	// CA is the private CA.
	CA func() (*pki.CA, error)
	// Manager is where agents reach this manager when an invitation says nothing
	// else, https://HOST:PORT; empty when it cannot be known.
	Manager string
	Log     *slog.Logger
	Life    time.Duration
}

func (r *Room) life() time.Duration {
	if r.Life > 0 {
		return r.Life
	}
	return Life
}

// Identify answers the agent at the other end of a connection. The certificate
// must be of the private CA, for client authentication, and in time; and its key
// must be one that an agent is known by now.
func (r *Room) Identify(ctx context.Context, conn *tls.ConnectionState, now time.Time) (*certfleet.Agent, error) {
	if conn == nil || len(conn.PeerCertificates) == 0 {
		return nil, unknown("this needs an agent's client certificate", "use certfleet-agent, after certfleet-agent join")
	}
	ca, err := r.CA()
	if err != nil {
		return nil, err
	}
	leaf := conn.PeerCertificates[0]
	if err := ca.CheckClient(leaf, now); err != nil {
		return nil, unknown("the client certificate is not good here", "invite the agent again with certfleet agents invite, and join with what that prints")
	}
	spki := pki.SPKI(leaf.PublicKey)
	a, err := r.DB.AgentBySPKI(ctx, spki)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil, unknown("this agent is not known here, or was revoked", "invite it with certfleet agents invite, and join with what that prints")
	}
	if err != nil {
		return nil, err
	}
	return a, r.seen(ctx, a, leaf.NotAfter, spki, now)
}

// seen notes that an agent is there, and that its next key has taken over.
func (r *Room) seen(ctx context.Context, a *certfleet.Agent, end time.Time, spki string, now time.Time) error {
	if spki == a.NextSPKI {
		return r.DB.Tx(ctx, now, func(tx *store.Tx) error {
			a.SPKI, a.NextSPKI, a.NotAfter, a.SeenAt = spki, "", end, now
			if err := tx.SaveAgent(ctx, a); err != nil {
				return err
			}
			return tx.Event(ctx, certfleet.Event{Kind: "agent.renewed", Tenant: a.Tenant, Msg: fmt.Sprintf("agent %s goes on with a new key, until %s", a.Label, end.UTC().Format(time.RFC3339))})
		})
	}
	if now.Sub(a.SeenAt) < time.Minute {
		return nil
	}
	a.SeenAt = now
	return r.DB.Tx(ctx, now, func(tx *store.Tx) error { return tx.AgentSeen(ctx, a.ID) })
}

func unknown(msg, advice string) error {
	return &certfleet.Error{Kind: certfleet.Denied, Msg: msg, Advice: advice}
}

func invalid(advice, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice}
}
