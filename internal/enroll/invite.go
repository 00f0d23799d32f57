package enroll

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/store"
)

// How long an invitation is good: by default, and at most.
const (
	inviteTime = time.Hour
	inviteMax  = 7 * 24 * time.Hour
)

// Invite makes an agent that may join once, or invites one anew that has no
// identity now. The token is answered this once; its hash is kept.
func (r *Room) Invite(ctx context.Context, tenant int64, n api.NewAgent, now time.Time) (*certfleet.Agent, string, error) {
	ttl, err := inviteLife(n.TTL)
	if err != nil {
		return nil, "", err
	}
	token, err := r.token(n)
	if err != nil {
		return nil, "", err
	}
	target := n.Target
	if target == "" {
		target = n.Label
	}
	var a *certfleet.Agent
	err = r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		a, err = tx.AgentByLabel(ctx, tenant, n.Label)
		fresh := certfleet.KindOf(err) == certfleet.NotFound
		switch {
		case fresh:
			a = &certfleet.Agent{Tenant: tenant, Label: n.Label}
		case err != nil:
			return err
		case a.RevokedAt.IsZero() && a.SPKI != "" && now.Before(a.NotAfter):
			return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("agent %q has an identity", n.Label), Advice: "revoke it first with certfleet agents revoke " + n.Label + ", or choose another label"}
		}
		a.Target, a.Labels, a.JoinHash, a.JoinUntil = target, n.Labels, hashOf(token.Secret), now.Add(ttl)
		a.SPKI, a.NextSPKI, a.NotAfter, a.RevokedAt = "", "", time.Time{}, time.Time{}
		a.QuietAt = time.Time{}
		if err := r.putInvited(ctx, tx, a, fresh); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "agent.invited", Tenant: tenant, Msg: fmt.Sprintf("agent %s may join for target %s until %s", a.Label, a.Target, a.JoinUntil.UTC().Format(time.RFC3339))})
	})
	if err != nil {
		return nil, "", err
	}
	return a, token.String(), nil
}

func (r *Room) putInvited(ctx context.Context, tx *store.Tx, a *certfleet.Agent, fresh bool) error {
	put := tx.SaveAgent
	if fresh {
		put = tx.AddAgent
	}
	err := put(ctx, a)
	if certfleet.KindOf(err) == certfleet.Conflict {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("another agent stands for target %q", a.Target), Advice: "name another target with --target, or revoke the other agent", Err: err}
	}
	return err
}

// token says where and who we are, with a new secret of 256 random bits.
func (r *Room) token(n api.NewAgent) (api.JoinToken, error) {
	manager := strings.TrimRight(n.Manager, "/")
	if manager == "" {
		manager = strings.TrimRight(r.Manager, "/")
	}
	u, err := url.Parse(manager)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" {
		return api.JoinToken{}, invalid("name where agents reach this manager with --manager https://HOST:PORT, or set public_url", "it is not known where agents reach this manager over TLS")
	}
	ca, err := r.CA()
	if err != nil {
		return api.JoinToken{}, err
	}
	b := make([]byte, 32)
	rand.Read(b)
	return api.JoinToken{Manager: manager, CA: pki.Fingerprint(ca.Certificate), Agent: n.Label, Secret: base64.RawURLEncoding.EncodeToString(b)}, nil
}

// hashOf is what is kept of a secret; nobody guesses 256 bits, so a fast hash is
// enough.
func hashOf(secret string) string { return lineage.Sum([]byte(secret)) }

func inviteLife(s string) (time.Duration, error) {
	if s == "" {
		return inviteTime, nil
	}
	var d certfleet.Duration
	if err := d.UnmarshalText([]byte(s)); err != nil {
		return 0, err
	}
	if ttl := time.Duration(d); ttl >= time.Minute && ttl <= inviteMax {
		return ttl, nil
	}
	return 0, invalid("use 1m to 7d", "an invitation cannot be good for %s", s)
}

// Revoke ends an agent's identity and invitation at once. What it holds stays
// where it is.
func (r *Room) Revoke(ctx context.Context, id int64, now time.Time) (a *certfleet.Agent, err error) {
	err = r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		if a, err = tx.Agent(ctx, id); err != nil || !a.RevokedAt.IsZero() {
			return err
		}
		a.RevokedAt, a.JoinHash, a.JoinUntil, a.QuietAt = now, "", time.Time{}, time.Time{}
		if err := tx.SaveAgent(ctx, a); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "agent.revoked", Tenant: a.Tenant, Msg: "agent " + a.Label + " is refused from now on"})
	})
	return a, err
}
