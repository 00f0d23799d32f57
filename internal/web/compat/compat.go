package compat

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/edge"
	"github.com/certfleet/certfleet/internal/store"
)

// Handler answers under its prefixes. DB, Edge, Who and As must be set.
type Handler struct {
	DB   *store.DB
	Edge *edge.Room
	// Prefixes are the roots of the routes, such as /.well-known/peter_sslers; an
	// empty one is the root of the server.
	Prefixes []string
	// Who says whose request it is. Its error is answered as it is.
	Who func(*http.Request) (*certfleet.Token, error)
	// Prime brings a version to the Redis targets of its certificate; nil does nothing.
	Prime func(ctx context.Context, version int64) error
	// Order gets a certificate for a name within the request; nil means that this is off.
	Order func(ctx context.Context, tenant int64, n certfleet.Name) (api.OnDemand, error)
	// As is the API under /v1, where every request is that of the token's holder.
	As  func(*certfleet.Token) http.Handler
	Log *slog.Logger

	formers formers
}

// Prefixes that the older system's releases used.
const (
	Prefix    = "/.well-known/peter_sslers"
	OldPrefix = "/.well-known/admin"
)

// index leads to the lists, and says what may be posted.
var index = route{method: http.MethodGet, scope: certfleet.ScopeRead, page: true, do: func(c *call) {
	c.json(http.StatusOK, object{"lists": c.links(menu), "posts": c.links(c.h.Posts())})
}}

func (c *call) links(paths []string) (out []string) {
	for _, p := range paths {
		out = append(out, c.prefix+"/"+strings.TrimPrefix(p, "/"))
	}
	return out
}

// route is one route below a prefix.
type route struct {
	method string
	path   string
	scope  certfleet.Scope
	edge   bool // scope edge may do it too
	page   bool // a browser sees it as a page
	do     func(*call)
	about  about // of a POST, for a GET that asks what may be posted
}

// about documents a POST.
type about struct {
	Instructions []string            `json:"instructions"`
	Fields       map[string]string   `json:"form_fields"`
	Options      map[string][]string `json:"valid_options"`
	Examples     []string            `json:"examples"`
}

// Mount serves every route under every prefix.
func (h *Handler) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /.well-known/public/whoami", whoami)
	for _, prefix := range h.Prefixes {
		prefix = strings.TrimRight(prefix, "/")
		if prefix != "" { // the root of the server is the API's documentation
			mux.Handle("GET "+prefix+"/{$}", h.serve(prefix, index))
			mux.Handle("GET "+prefix, h.serve(prefix, index))
			mux.Handle(prefix+"/", h.nothing(prefix))
		}
		for _, r := range h.routes() {
			mux.Handle(r.method+" "+prefix+r.path, h.serve(prefix, r))
			if r.method == http.MethodPost {
				mux.Handle("GET "+prefix+r.path, h.explain(prefix, r))
			}
		}
	}
}

func (h *Handler) routes() []route {
	var all []route
	for _, some := range [][]route{h.lookupRoutes(), h.onDemandRoutes(), h.downloadRoutes(),
		h.accountRoutes(), h.orderRoutes(), h.renewalRoutes(), h.certificateRoutes(), h.domainRoutes(), h.operationRoutes(), h.acmednsRoutes(), h.acmednsServerRoutes(), h.acmednsAccountRoutes(),
		h.serverRoutes(), h.relatedRoutes(), h.systemRoutes(), h.factoryRoutes(), h.authorizationRoutes(), h.keyRoutes(), h.parseRoutes()} {
		all = append(all, some...)
	}
	return all
}

// foreign knows what a browser posts for another site, with the password that it
// remembers for this one.
var foreign = http.NewCrossOriginProtection()

// serve lets a request through that may do what the route does.
func (h *Handler) serve(prefix string, r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		c := &call{h: h, prefix: prefix, w: w, q: q, page: r.page && wantsPage(q)}
		w.Header().Set("X-Peter-SSLers", "production")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Vary", "Accept")
		if err := foreign.Check(q); err != nil {
			c.refuse(http.StatusForbidden, &certfleet.Error{Kind: certfleet.Denied, Msg: "the request comes from another site's page", Advice: "send it from a program, or from a page of this server"})
			return
		}
		if !sane(q.URL.Path) {
			c.missing()
			return
		}
		who, err := h.Who(q)
		if err != nil {
			c.refuse(http.StatusUnauthorized, err)
			return
		}
		if !who.Allows(r.scope) && !(r.edge && who.Allows(certfleet.ScopeEdge)) {
			c.refuse(http.StatusForbidden, &certfleet.Error{Kind: certfleet.Denied, Msg: "this needs a token with scope " + string(r.scope), Advice: "use a token with scope " + string(r.scope)})
			return
		}
		c.who = who
		c.ctx = store.WithActor(q.Context(), c.edge())
		if err := c.enter(r.path); err != nil {
			c.fail(err)
			return
		}
		r.do(c)
	})
}

// nothing answers what is not there below a prefix, as the older system does.
func (h *Handler) nothing(prefix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("X-Peter-SSLers", "production")
		w.Header().Set("Cache-Control", "no-store")
		(&call{h: h, prefix: prefix, w: w, q: q, page: wantsPage(q)}).missing()
	})
}

// sane reports whether a path could name anything: it is text without control
// characters, and no part of it leads upwards.
func sane(path string) bool {
	if !clean(path) || strings.ContainsAny(path, "\r\n\t") {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if p := bare(part); p == "." || p == ".." {
			return false
		}
	}
	return true
}

// explain answers a GET with what may be posted; it changes nothing, so that who
// may read may ask.
func (h *Handler) explain(prefix string, r route) http.Handler {
	a := r.about.complete(prefix + r.path)
	r.method, r.scope, r.edge, r.page = http.MethodGet, certfleet.ScopeRead, true, true
	r.do = func(c *call) { c.json(http.StatusOK, a) }
	return h.serve(prefix, r)
}

// Posts are the paths below a prefix, with .json, that take a POST.
func (h *Handler) Posts() (all []string) {
	for _, r := range h.routes() {
		if r.method == http.MethodPost && strings.HasSuffix(r.path, ".json") {
			all = append(all, r.path)
		}
	}
	return all
}
