package enroll

import (
	"context"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

func TestALostAnswerToAJoinIsAskedForAgainWithTheSameKeyAlone(t *testing.T) {
	k := newKit(t)
	secret := k.invite("edge-1")
	key, req := k.key()
	_, other := k.key()
	first, err := k.Join(t.Context(), api.Join{Secret: secret, Request: req}, k.now)
	k.must(err)
	again, err := k.Join(t.Context(), api.Join{Secret: secret, Request: req}, k.now.Add(time.Minute))
	k.must(err)
	for _, id := range []api.Identity{first, again} {
		certs, err := pki.ParseCertificates([]byte(id.Certificate))
		k.must(err)
		if id.Agent != "edge-1" || pki.SPKI(certs[0].PublicKey) != pki.SPKI(key.Public()) {
			t.Errorf("the identity is %s for another key", id.Agent)
		}
	}
	if a := k.agent("edge-1"); a.SPKI != pki.SPKI(key.Public()) || a.State(k.now.Add(time.Minute)) != certfleet.AgentActive {
		t.Errorf("agent %+v", a)
	}
	k.told("agent.joined", 2, "the first answer was lost")
	refused := func(what, req string, at time.Time) {
		t.Helper()
		_, err := k.Join(t.Context(), api.Join{Secret: secret, Request: req}, at)
		if certfleet.KindOf(err) != certfleet.Denied || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("another key", other, k.now)
	refused("after the token's life", req, k.now.Add(inviteTime))
	if _, err := k.Revoke(t.Context(), k.agent("edge-1").ID, k.now); err != nil {
		t.Fatal(err)
	}
	refused("after the revocation", req, k.now)
}

func TestTheTokenIsNoUseOnceTheKeyHasChanged(t *testing.T) {
	k := newKit(t)
	secret := k.invite("edge-1")
	_, req := k.key()
	_, err := k.Join(t.Context(), api.Join{Secret: secret, Request: req}, k.now)
	k.must(err)
	next, nextReq := k.key()
	_, err = k.Rejoin(t.Context(), k.agent("edge-1"), api.Rejoin{Request: nextReq}, k.now)
	k.must(err)
	k.must(k.seen(t.Context(), k.agent("edge-1"), k.now.Add(Life), pki.SPKI(next.Public()), k.now))
	if _, err := k.Join(t.Context(), api.Join{Secret: secret, Request: req}, k.now); certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("the first key came back: %v", err)
	}
}

func TestAStrangerCostsNoTurnAtWriting(t *testing.T) {
	k := newKit(t)
	_, req := k.key()
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	k.tx(func(context.Context, *store.Tx) error { // somebody else writes
		for what, j := range map[string]api.Join{"no request": {Secret: "guessed"}, "a good request": {Secret: "guessed", Request: req}} {
			if _, err := k.Join(ctx, j, k.now); certfleet.KindOf(err) != certfleet.Denied {
				t.Errorf("%s: %v; want it refused for the secret alone", what, err)
			}
		}
		return nil
	})
}
