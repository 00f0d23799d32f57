package web

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (s *server) accountCheckRoutes() {
	on(s, "POST", "/v1/accounts/{id}/check", route{certfleet.ScopeAdmin, "check-account", "accounts", "Ask the CA how an account stands", "RFC 8555 section 7.3.1. It changes nothing."}, s.checkAccount)
}

func (s *server) checkAccount(ctx context.Context, in *ByID) (*out[api.AccountCheck], error) {
	a, err := s.account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if s.Acts.CheckAccount == nil {
		return nil, unable("asking the CA about an account")
	}
	url, status, contact, err := s.Acts.CheckAccount(ctx, a.ID)
	if err != nil {
		return nil, fmt.Errorf("asking the CA about account %q: %w", a.Label, err)
	}
	return answer(api.AccountCheck{Account: s.ofAccount(ctx, a), CAStatus: status, CAURL: url, CAContact: contact, Agrees: status == "valid" && url == a.URL, CheckedAt: time.Now().UTC()}), nil
}
