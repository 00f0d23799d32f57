package web

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) tokenRoutes() {
	const tag, path = "tokens", "/v1/tokens"
	on(s, "GET", path, route{certfleet.ScopeAdmin, "list-tokens", tag, "List tokens, without their secrets", ""}, s.listTokens)
	on(s, "POST", path, route{certfleet.ScopeAdmin, "add-token", tag, "Make a token", "Its secret is in the answer, this once. Nobody can give scopes that they do not have."}, s.addToken)
	on(s, "DELETE", path+"/{id}", route{certfleet.ScopeAdmin, "revoke-token", tag, "Revoke a token", "By label or id."}, s.revokeToken)
}

func (s *server) listTokens(ctx context.Context, q *api.Labelled) (*page[api.Token], error) {
	rows, err := s.DB.Tokens(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	return labelled(q, rows, func(t *certfleet.Token) certfleet.Labels { return t.Labels }, api.OfToken)
}

func (s *server) addToken(ctx context.Context, in *ask[api.NewToken]) (*out[api.TokenAnswer], error) {
	row, err := tokenRow(in.Body, who(ctx), time.Now())
	if err != nil {
		return nil, err
	}
	row.Tenant = tenant(ctx)
	secret, hash := NewToken()
	row.Hash = hash
	err = s.write(ctx, func(tx *store.Tx) error { return tx.AddToken(ctx, row) })
	if certfleet.KindOf(err) == certfleet.Conflict {
		return nil, &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("there is, or was, a token %q", row.Label), Advice: "choose another label"}
	}
	if err != nil {
		return nil, err
	}
	return answer(api.TokenAnswer{Token: api.OfToken(row), Secret: secret}), nil
}

// tokenRow checks a token that giver asks for.
func tokenRow(n api.NewToken, giver *certfleet.Token, now time.Time) (*certfleet.Token, error) {
	if err := intake.CheckLabel(n.Label); err != nil {
		return nil, err
	}
	life, err := duration(n.ExpiresIn)
	if err != nil {
		return nil, err
	}
	t := &certfleet.Token{Label: n.Label, Labels: n.Labels}
	if life > 0 {
		t.ExpiresAt = now.Add(life)
	}
	if len(n.Scopes) == 0 {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "a token without a scope may do nothing", Advice: "give scopes, such as read"}
	}
	for _, word := range n.Scopes {
		scope := certfleet.Scope(word)
		if !slices.Contains(certfleet.Scopes, scope) {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("scope %q is not known", short(word)), Advice: "use some of read, issue, deliver, edge, key, admin"}
		}
		if !giver.Allows(scope) {
			return nil, &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("this token has no scope %s to give", scope), Advice: "have the token made on the server itself"}
		}
		t.Scopes = append(t.Scopes, scope)
	}
	return t, nil
}

func (s *server) revokeToken(ctx context.Context, in *ByID) (*out[api.Token], error) {
	rows, err := s.DB.Tokens(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rows, func(t certfleet.Token) bool { return t.Label == in.ID || fmt.Sprint(t.ID) == in.ID })
	if i < 0 {
		return nil, missing("token", in.ID)
	}
	t := rows[i]
	if !t.RevokedAt.IsZero() {
		return answer(api.OfToken(&t)), nil
	}
	err = s.write(ctx, func(tx *store.Tx) error {
		t.RevokedAt = tx.Now()
		return tx.RevokeToken(ctx, t.Tenant, t.Label)
	})
	if err != nil {
		return nil, err
	}
	return answer(api.OfToken(&t)), nil
}
