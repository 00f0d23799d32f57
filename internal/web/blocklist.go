package web

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) blocklistRoutes() {
	const tag, path = "blocklist", "/v1/blocklist"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-blocklist", tag, "List what is never to be ordered", ""}, s.listBlocked)
	on(s, "POST", path, route{certfleet.ScopeAdmin, "add-blocked", tag, "Forbid a name, a domain or a suffix", "Certificates that want it already order nothing more."}, s.addBlocked)
	on(s, "DELETE", path, route{certfleet.ScopeAdmin, "remove-blocked", tag, "Allow it again", ""}, s.removeBlocked)
}

func ofBlocked(b *store.Blocked) api.Blocked {
	return api.Blocked{Kind: b.Kind, Pattern: b.Pattern, Note: b.Note, Actor: b.Actor, CreatedAt: b.CreatedAt}
}

func (s *server) listBlocked(ctx context.Context, _ *none) (*page[api.Blocked], error) {
	rows, err := s.DB.Blocklist(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	return whole(rows, ofBlocked), nil
}

func (s *server) addBlocked(ctx context.Context, in *ask[api.Blocked]) (*out[api.Blocked], error) {
	b, err := s.intake(ctx).Block(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	return answer(ofBlocked(b)), nil
}

func (s *server) removeBlocked(ctx context.Context, in *api.BlockedQuery) (*out[api.Done], error) {
	if err := s.intake(ctx).Unblock(ctx, in.Kind, in.Pattern); err != nil {
		return nil, err
	}
	return answer(api.Done{Done: true}), nil
}
