package web

import (
	"context"
	"fmt"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/web/compat"
)

// ACMEDNS is what the API does with the solvers of type acmedns.
type ACMEDNS interface {
	// Servers are those of the configuration, in its order.
	Servers() []api.ACMEDNSServer
	// Ensure gives each name an account at a solver's server, unless it has one.
	Ensure(ctx context.Context, solver string, names []certfleet.Name) ([]api.Delegation, error)
	// Adopt keeps an account that exists.
	Adopt(ctx context.Context, solver string, a api.ACMEDNSAccount) (api.Delegation, error)
	// Audit looks whether the names' CNAMEs lead to their accounts; it changes nothing.
	Audit(ctx context.Context, solver string, names []certfleet.Name) ([]api.DelegationFinding, error)
	// Check asks a solver's server whether it is well.
	Check(ctx context.Context, solver string) error
}

func (s *server) acmednsRoutes() {
	const tag, path = "acmedns", "/v1/acmedns"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-acmedns", tag, "List acme-dns servers", "Those of the configuration's solvers of type acmedns."}, s.listACMEDNS)
	on(s, "GET", path+"/{id}/names", route{certfleet.ScopeRead, "list-acmedns-names", tag, "List names that have an account at an acme-dns server", "By name, with the CNAME that each needs."}, s.listDelegations)
	on(s, "POST", path+"/{id}/ensure", route{certfleet.ScopeIssue, "ensure-acmedns", tag, "Give names accounts at an acme-dns server", "At most 100 at a time. What keeps one name from it is in its row."}, s.ensureDelegations)
	on(s, "POST", path+"/{id}/adopt", route{certfleet.ScopeAdmin, "adopt-acmedns", tag, "Bring an account at an acme-dns server along", ""}, s.adoptDelegation)
	on(s, "POST", path+"/{id}/audit", route{certfleet.ScopeIssue, "audit-acmedns", tag, "Look whether CNAMEs lead to accounts at an acme-dns server", "Every authoritative server is asked. Nothing is changed. At most 100 names."}, s.auditDelegations)
	on(s, "POST", path+"/{id}/check", route{certfleet.ScopeIssue, "check-acmedns", tag, "Ask an acme-dns server whether it is well", "Its health route."}, s.checkACMEDNS)
}

// acmednsRoom is the room for acme-dns, whose accounts are the default tenant's.
func (s *server) acmednsRoom(ctx context.Context) (ACMEDNS, error) {
	if s.Acts.ACMEDNS == nil {
		return nil, unable("using acme-dns")
	}
	if tenant(ctx) != certfleet.DefaultTenant {
		return nil, &certfleet.Error{Kind: certfleet.Denied, Msg: "the acme-dns servers are not this tenant's", Advice: "use a token of the default tenant"}
	}
	return s.Acts.ACMEDNS, nil
}

func (s *server) listACMEDNS(ctx context.Context, _ *none) (*page[api.ACMEDNSServer], error) {
	room, err := s.acmednsRoom(ctx)
	if err != nil {
		return nil, err
	}
	return &page[api.ACMEDNSServer]{Body: api.Page[api.ACMEDNSServer]{Items: room.Servers()}}, nil
}

// acmednsServer finds a server by the solver's label or its id.
func (s *server) acmednsServer(ctx context.Context, id string) (ACMEDNS, api.ACMEDNSServer, error) {
	room, err := s.acmednsRoom(ctx)
	if err != nil {
		return nil, api.ACMEDNSServer{}, err
	}
	for _, one := range room.Servers() {
		if one.Solver == id || strconv.FormatInt(one.ID, 10) == id {
			return room, one, nil
		}
	}
	return nil, api.ACMEDNSServer{}, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("there is no solver %q of type acmedns", short(id)), Advice: "add it under solvers in the configuration"}
}

type delegationQuery struct {
	ByID
	api.Paging
}

// listDelegations is sorted by name, so the cursor is the last name of a page.
func (s *server) listDelegations(ctx context.Context, q *delegationQuery) (*page[api.Delegation], error) {
	_, at, err := s.acmednsServer(ctx, q.ID)
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	rows, err := s.DB.ACMEDNSAfter(ctx, tenant(ctx), at.Solver, q.Cursor, limit)
	if err != nil {
		return nil, err
	}
	p := whole(rows, compat.DelegationOf)
	if len(rows) == limit {
		p.Body.Next = rows[limit-1].Name.String()
	}
	return p, nil
}

func (s *server) ensureDelegations(ctx context.Context, in *askID[api.EnsureNames]) (*out[api.Page[api.Delegation]], error) {
	return ofNames(ctx, s, in, ACMEDNS.Ensure)
}

// ofNames does one thing for the names that were given, at one server.
func ofNames[T any](ctx context.Context, s *server, in *askID[api.EnsureNames], do func(ACMEDNS, context.Context, string, []certfleet.Name) ([]T, error)) (*out[api.Page[T]], error) {
	room, at, err := s.acmednsServer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	names, err := certfleet.ParseNames(in.Body.Names)
	if err != nil {
		return nil, err
	}
	rows, err := do(room, ctx, at.Solver, names)
	if err != nil {
		return nil, err
	}
	return answer(api.Page[T]{Items: rows}), nil
}

func (s *server) adoptDelegation(ctx context.Context, in *askID[api.ACMEDNSAccount]) (*out[api.Delegation], error) {
	room, at, err := s.acmednsServer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	d, err := room.Adopt(ctx, at.Solver, in.Body)
	if err != nil {
		return nil, err
	}
	return answer(d), nil
}

func (s *server) auditDelegations(ctx context.Context, in *askID[api.EnsureNames]) (*out[api.Page[api.DelegationFinding]], error) {
	return ofNames(ctx, s, in, ACMEDNS.Audit)
}

func (s *server) checkACMEDNS(ctx context.Context, in *ByID) (*out[api.ACMEDNSCheck], error) {
	room, at, err := s.acmednsServer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	c := api.ACMEDNSCheck{ACMEDNSServer: at, OK: true}
	if err := room.Check(ctx, at.Solver); err != nil {
		p := s.problemOf(ctx, err)
		c.OK, c.Problem, c.Advice = false, p.Detail, p.Advice
	}
	return answer(c), nil
}
