package web

import (
	"context"
	"errors"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) orderRoutes() {
	const tag, path = "orders", "/v1/orders"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-orders", tag, "List orders, newest first", ""}, s.listOrders)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-order", tag, "Read an order with everything that is known of it", ""}, s.getOrder)
	on(s, "POST", path+"/{id}/step", route{certfleet.ScopeIssue, "step-order", tag, "Do the next step of an order now", "Manual orders advance only so."}, s.stepOrder)
	on(s, "POST", path+"/{id}/sync", route{certfleet.ScopeIssue, "sync-order", tag, "Ask the CA how an order stands now", ""}, s.syncOrder)
	on(s, "GET", "/v1/authorizations", route{certfleet.ScopeRead, "list-authorizations", "authorizations", "List authorizations, newest first", ""}, s.listAuthorizations)
	on(s, "POST", "/v1/authorizations/deactivate", route{certfleet.ScopeIssue, "deactivate-authorizations", "authorizations", "Give pending authorizations up", "RFC 8555 section 7.5.2."}, s.deactivate)
	on(s, "GET", "/v1/challenges", route{certfleet.ScopeRead, "list-challenges", "challenges", "List challenges, newest first", ""}, s.listChallenges)
}

func (s *server) listOrders(ctx context.Context, q *api.OrderQuery) (*page[api.Order], error) {
	f := store.OrderFilter{Tenant: tenant(ctx), State: q.State, Limit: q.Limit}
	if err := oneOf("state", q.State, "wanted", "open", "issued", "failed", "live", "pending"); err != nil {
		return nil, err
	}
	var err error
	if f.CertificateID, f.Labels, f.After, err = s.narrow(ctx, q.Certificate, q.Label, q.Cursor); err != nil {
		return nil, err
	}
	if f.AccountID, err = s.accountID(ctx, q.Account); err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Orders(ctx, f)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfOrder), nil
}

func (s *server) getOrder(ctx context.Context, in *byNumber) (*out[api.OrderStory], error) {
	o, err := s.order(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	story, err := s.orderStory(ctx, o)
	return &out[api.OrderStory]{story}, err
}

func (s *server) orderStory(ctx context.Context, o *certfleet.Order) (api.OrderStory, error) {
	story := api.OrderStory{Order: api.OfOrder(o), Authority: s.authorityLabel(ctx, o.AuthorityID)}
	c, err := s.DB.Certificate(ctx, o.CertificateID)
	if err != nil {
		return story, err
	}
	a, err := s.DB.Account(ctx, o.AccountID)
	if err != nil {
		return story, err
	}
	story.Certificate, story.Account = c.Label, a.Label
	authzs, err := s.DB.AuthorizationsOf(ctx, o.ID)
	if err != nil {
		return story, err
	}
	challenges, err := s.DB.ChallengesOf(ctx, o.ID)
	if err != nil {
		return story, err
	}
	exchanges, err := s.DB.ExchangesOf(ctx, o.ID, 1000)
	story.Authorizations, story.Challenges, story.Exchanges = api.All(authzs, api.OfAuthorization), api.All(challenges, api.OfChallenge), api.All(exchanges, api.OfExchange)
	return story, err
}

func (s *server) stepOrder(ctx context.Context, in *byNumber) (*out[api.OrderStory], error) {
	return s.orderAct(ctx, in.ID, "stepping an order", s.Acts.StepOrder)
}

func (s *server) syncOrder(ctx context.Context, in *byNumber) (*out[api.OrderStory], error) {
	return s.orderAct(ctx, in.ID, "asking the CA about an order", s.Acts.SyncOrder)
}

// orderAct does something to an order and tells how it stands then.
func (s *server) orderAct(ctx context.Context, id int64, what string, f func(context.Context, int64) error) (*out[api.OrderStory], error) {
	o, err := s.order(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := act(ctx, what, f, o.ID); err != nil {
		if errors.Is(err, store.ErrStale) {
			return nil, &certfleet.Error{Kind: certfleet.Conflict, Msg: "a node works on this order right now", Advice: "try again in a moment"}
		}
		return nil, err
	}
	return s.getOrder(ctx, &byNumber{o.ID})
}

func (s *server) authorizationFilter(ctx context.Context, q *api.AuthorizationQuery) (store.AuthorizationFilter, error) {
	f := store.AuthorizationFilter{Tenant: tenant(ctx), Status: q.Status, OrderID: q.Order, Limit: q.Limit}
	if f.Status == "" {
		f.Status = q.State
	}
	// RFC 8555 section 7.1.6; of challenges, also processing.
	if err := oneOf("status", f.Status, "pending", "processing", "valid", "invalid", "deactivated", "expired", "revoked"); err != nil {
		return f, err
	}
	var err error
	if f.AccountID, err = s.accountID(ctx, q.Account); err != nil {
		return f, err
	}
	if f.Labels, err = labels(q.Label); err != nil {
		return f, err
	}
	f.After, err = readCursor(ctx, q.Cursor)
	return f, err
}

func (s *server) listAuthorizations(ctx context.Context, q *api.AuthorizationQuery) (*page[api.Authorization], error) {
	f, err := s.authorizationFilter(ctx, q)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Authorizations(ctx, f)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfAuthorization), nil
}

func (s *server) listChallenges(ctx context.Context, q *api.AuthorizationQuery) (*page[api.Challenge], error) {
	f, err := s.authorizationFilter(ctx, q)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Challenges(ctx, f)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfChallenge), nil
}

// mostDeactivated bounds how many authorizations one request gives up: each is
// a request to the CA.
const mostDeactivated = 100

func (s *server) deactivate(ctx context.Context, in *ask[api.Deactivation]) (*out[api.Deactivated], error) {
	ids, err := s.toDeactivate(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if s.Acts.DeactivateAuthorization == nil {
		return nil, unable("giving authorizations up")
	}
	res := api.Deactivated{Deactivated: []int64{}}
	for _, id := range ids {
		if err := s.Acts.DeactivateAuthorization(ctx, id); err != nil {
			p := s.problemOf(ctx, err)
			res.Failed = append(res.Failed, api.FailedActivity{ID: id, Problem: p.Detail, Advice: p.Advice})
			continue
		}
		res.Deactivated = append(res.Deactivated, id)
	}
	return answer(res), nil
}

// toDeactivate are the authorizations that a request means.
func (s *server) toDeactivate(ctx context.Context, d api.Deactivation) ([]int64, error) {
	if len(d.IDs) > 0 {
		return s.ownAuthorizations(ctx, d.IDs)
	}
	if d.Account == "" && d.Order == 0 && !d.All {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "no authorization is named", Advice: "give ids, an account, an order, or all"}
	}
	f, err := s.authorizationFilter(ctx, &api.AuthorizationQuery{Paging: api.Paging{Limit: mostDeactivated}, Status: "pending", Account: d.Account, Order: d.Order})
	if err != nil {
		return nil, err
	}
	rows, _, err := s.DB.Authorizations(ctx, f)
	ids := make([]int64, len(rows))
	for i, a := range rows {
		ids[i] = a.ID
	}
	return ids, err
}

func (s *server) ownAuthorizations(ctx context.Context, ids []int64) ([]int64, error) {
	if len(ids) > mostDeactivated {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "these are too many at a time", Advice: "give at most 100 ids"}
	}
	for _, id := range ids {
		a, err := s.DB.Authorization(ctx, id)
		if err == nil {
			_, err = s.order(ctx, a.OrderID)
		}
		if certfleet.KindOf(err) == certfleet.NotFound {
			return nil, missing("authorization", strconv.FormatInt(id, 10))
		}
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}
