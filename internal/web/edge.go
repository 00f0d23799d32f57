package web

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/edge"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/web/compat"
)

// EdgeDeps is what the answers to edges stand on. Without Room there are none.
type EdgeDeps struct {
	Room *edge.Room
	// Prefixes are the roots under which the older system's routes answer.
	Prefixes []string
	// Trusted are networks whose requests need no token for scope edge.
	Trusted []netip.Prefix
	// Prime brings a version to the Redis targets of its certificate.
	Prime func(ctx context.Context, version int64) error
	// Order gets a certificate on demand; nil when that is off.
	Order func(ctx context.Context, tenant int64, n certfleet.Name) (api.OnDemand, error)
}

func (s *server) edgeRoutes() {
	const tag = "edges"
	on(s, "GET", "/v1/edge/names/{name}", route{certfleet.ScopeEdge, "edge-lookup", tag, "What a name serves, with its key, in binary",
		"The body is one pair as internal/api describes it: " + api.EdgeMedia + ". If-None-Match with the ETag of an earlier answer is answered by 304."}, s.edgeName)
	on(s, "POST", "/v1/edge/lookup", route{certfleet.ScopeEdge, "edge-lookup-batch", tag, "What many names serve, in binary",
		"One pair a name, in the order of the question. A name whose generation is the one that the edge has is answered without chain and key."}, s.edgeBatch)
	on(s, "POST", "/v1/edge/names/{name}/order", route{certfleet.ScopeEdge, "edge-order", tag, "Get a name a certificate while the caller waits", "Where the rules for orders on demand allow it. With pending in the answer the order goes on; ask again."}, s.edgeOrder)
	on(s, "GET", "/v1/versions/{id}/lookups", route{certfleet.ScopeRead, "get-version-lookups", "versions", "Which edges were given a version, by hour", "Newest first, at most 1,000 rows."}, s.versionLookups)
}

type edgeQuestion struct {
	Name string `path:"name" maxLength:"255" doc:"A host name, in any case."`
	Kind string `query:"kind" enum:"ecdsa,rsa" doc:"Only the pair of this kind."`
	Have string `header:"If-None-Match" doc:"The ETag of what the edge has."`
}

type edgeWish struct {
	Name string `path:"name" maxLength:"255" doc:"A host name, in any case."`
}

func (s *server) edgeOrder(ctx context.Context, in *edgeWish) (*out[api.OnDemand], error) {
	if s.Edge.Order == nil {
		return nil, unable("ordering on demand")
	}
	n, err := certfleet.ParseName(in.Name)
	if err != nil {
		return nil, err
	}
	got, err := s.Edge.Order(ctx, tenant(ctx), n)
	if err != nil {
		return nil, err
	}
	return answer(got), nil
}

type edgeAnswer struct {
	Status int
	Type   string `header:"Content-Type"`
	ETag   string `header:"ETag"`
	Body   []byte
}

func (s *server) edgeName(ctx context.Context, q *edgeQuestion) (*edgeAnswer, error) {
	if s.Edge.Room == nil {
		return nil, unable("answering edges")
	}
	n, err := certfleet.ParseName(q.Name)
	if err != nil {
		return nil, err
	}
	a := asked(ctx, n)
	a.Kind = edge.Kind(q.Kind)
	if have, ok := etag(q.Have); ok {
		if now, err := s.Edge.Room.Current(ctx, a); err == nil && now == have {
			return &edgeAnswer{Status: http.StatusNotModified, Type: api.EdgeMedia, ETag: q.Have}, nil
		}
	}
	p, err := s.Edge.Room.Find(ctx, a)
	if err != nil {
		return nil, err
	}
	return &edgeAnswer{Status: http.StatusOK, Type: api.EdgeMedia, ETag: `"` + strconv.FormatInt(p.Version, 10) + `"`, Body: api.AppendEdgePair(nil, wire(n, p))}, nil
}

func etag(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.Trim(s, `"`), 10, 64)
	return n, err == nil
}

// asked is a question of the caller's.
func asked(ctx context.Context, n certfleet.Name) edge.Asked {
	return edge.Asked{Tenant: tenant(ctx), Edge: store.ActorOf(ctx), Name: n}
}

func (s *server) edgeBatch(ctx context.Context, in *ask[api.EdgeQuestions]) (*edgeAnswer, error) {
	if s.Edge.Room == nil {
		return nil, unable("answering edges")
	}
	var body []byte
	for _, q := range in.Body.Names {
		body = api.AppendEdgePair(body, s.edgeOne(ctx, q))
	}
	return &edgeAnswer{Status: http.StatusOK, Type: api.EdgeMedia, Body: body}, nil
}

// edgeOne answers one name of a batch; trouble with it is not the others'.
func (s *server) edgeOne(ctx context.Context, q api.EdgeQuestion) api.EdgePair {
	n, err := certfleet.ParseName(q.Name)
	if err != nil {
		return api.EdgePair{Name: q.Name}
	}
	if q.Generation != 0 {
		if now, err := s.Edge.Room.Current(ctx, asked(ctx, n)); err == nil && now == q.Generation {
			return api.EdgePair{Name: q.Name, State: api.EdgeUnchanged, Generation: now}
		}
	}
	p, err := s.Edge.Room.Find(ctx, asked(ctx, n))
	switch {
	case err == nil:
		out := wire(n, p)
		out.Name = q.Name
		return out
	case certfleet.KindOf(err) == certfleet.NotFound:
		return api.EdgePair{Name: q.Name}
	}
	s.Log.Warn("cannot look up for an edge", "err", err)
	return api.EdgePair{Name: q.Name, State: api.EdgeLater}
}

func wire(n certfleet.Name, p *edge.Pair) api.EdgePair {
	return api.EdgePair{Name: n.String(), State: api.EdgeFound, Generation: p.Version, NotAfter: p.NotAfter, Expired: p.Expired, Chain: p.FullDER, Key: p.KeyDER}
}

func (s *server) versionLookups(ctx context.Context, in *ByID) (*out[[]api.EdgeLookup], error) {
	v, err := s.version(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rows, err := s.DB.LookupsOf(ctx, v.ID, 1000)
	if err != nil {
		return nil, err
	}
	return answer(api.All(rows, func(l *store.Lookup) api.EdgeLookup {
		return api.EdgeLookup{Edge: l.Edge, VersionID: l.VersionID, Hour: l.Hour.UTC(), Count: l.N}
	})), nil
}

// compat serves the older system's routes.
func (s *server) compat(mux *http.ServeMux) {
	if s.Edge.Room == nil || len(s.Edge.Prefixes) == 0 {
		return
	}
	h := &compat.Handler{DB: s.DB, Edge: s.Edge.Room, Prefixes: s.Edge.Prefixes, Who: s.edgeWho, Prime: s.Edge.Prime, Order: s.Edge.Order, As: holder(mux), Log: s.Log}
	h.Mount(mux)
}

// holder is the API, where every request is that of a token's holder.
func holder(all http.Handler) func(*certfleet.Token) http.Handler {
	return func(t *certfleet.Token) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := store.WithActor(context.WithValue(r.Context(), whoKey{}, t), "token:"+t.Label)
			all.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// edgeWho finds whose request it is: by a token, sent as Bearer or as a password,
// or by the network that it comes from.
func (s *server) edgeWho(r *http.Request) (*certfleet.Token, error) {
	if t := who(r.Context()); t != nil {
		return t, nil
	}
	header := r.Header.Get("Authorization")
	if _, password, ok := r.BasicAuth(); ok {
		header = "Bearer " + password
	}
	if header == "" && s.trusts(r) {
		return neighbour(), nil
	}
	return s.identifyEdge(r.Context(), header)
}

// passedOn are the headers by which proxies say for whom they ask.
var passedOn = []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"}

// trusts reports whether a request from there needs no token. One that a proxy
// passed on does: it may come from anywhere. An empty header counts too, since some
// proxies put theirs behind the one that a stranger sent.
func (s *server) trusts(r *http.Request) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || slices.ContainsFunc(passedOn, func(h string) bool { return r.Header[h] != nil }) {
		return false
	}
	return slices.ContainsFunc(s.Edge.Trusted, func(p netip.Prefix) bool { return p.Contains(at.Addr().Unmap()) })
}

// neighbour is who comes from a trusted network.
func neighbour() *certfleet.Token {
	return &certfleet.Token{Tenant: certfleet.DefaultTenant, Label: "network", Scopes: []certfleet.Scope{certfleet.ScopeEdge}}
}
