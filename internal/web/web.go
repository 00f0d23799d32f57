// Package web is the JSON API under /v1: every act and every fact of the house
// over HTTP, described by an OpenAPI document that is made from the code.
//
// A request passes a few hands in a fixed order:
//
//	request id -> body limit -> token and scope -> huma reads and checks -> handler -> intake, store or an Act
//
// Errors are answered in the form of RFC 9457 and never repeat what was sent.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/enroll"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/singleflight"
)

// BodyLimit is how many bytes a request may send when Deps say nothing.
const BodyLimit = 1 << 20

// requestTime bounds one request; acts that wait for a CA are the longest.
const requestTime = 2 * time.Minute

// Deps is what the API stands on. DB and Keys must be set.
type Deps struct {
	DB   *store.DB
	Keys *keystore.Keystore
	Acts Acts
	// Edge is what answers edges that ask in the moment of a handshake.
	Edge EdgeDeps
	// Agents are the identities of agents; nil when this server knows none.
	Agents *enroll.Room
	// Probe says how handshakes are made.
	Probe probe.Options
	Log   *slog.Logger
	// Body is how many bytes a request may send; zero means BodyLimit.
	Body int64
	// ReadOnly says that nothing can be written.
	ReadOnly bool
	// Started is when the program began to serve.
	Started time.Time
}

// server is the API with what it stands on.
type server struct {
	Deps
	api       huma.API
	tokens    tokens
	badges    badges
	tails     tails
	readiness readiness
	repeats   singleflight.Group // requests with an Idempotency-Key that are under way
}

// New makes the handler of everything: the API, its documentation, health and
// metrics.
func New(d Deps) http.Handler {
	answerProblems()
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Body <= 0 {
		d.Body = BodyLimit
	}
	s := &server{Deps: d}
	s.tails.db = d.DB
	mux := http.NewServeMux()
	s.api = humago.New(mux, settings())
	s.api.UseMiddleware(s.bound, s.guard)
	s.routes()
	s.plain(mux)
	s.compat(mux)
	return s.outer(mux)
}

// settings describe the API; nothing in it points to a foreign host.
func settings() huma.Config {
	c := huma.DefaultConfig("certfleet", "1")
	c.Info.Description = "Keeps every host name of a hosting fleet on a valid certificate."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "/v1/openapi", "", "", nil
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":       {Type: "http", Scheme: "bearer", BearerFormat: "cf_...", Description: "A token of this server; its scopes say what it may do."},
		byCertificate: {Type: "mutualTLS", Description: "The client certificate that an agent got from the private CA when it joined."},
		byInvitation:  {Type: "apiKey", In: "body", Name: "secret", Description: "The secret of a join token, good once."},
	}
	return c
}

func (s *server) routes() {
	s.certificateRoutes()
	s.importRoutes()
	s.domainRoutes()
	s.orderRoutes()
	s.versionRoutes()
	s.policyRoutes()
	s.backupRoutes()
	s.replacementRoutes()
	s.blocklistRoutes()
	s.factoryRoutes()
	s.defaultRoutes()
	s.acmednsRoutes()
	s.authorityRoutes()
	s.accountRoutes()
	s.targetRoutes()
	s.deliverRoutes()
	s.agentRoutes()
	s.fleetRoutes()
	s.whyRoutes()
	s.eventRoutes()
	s.tokenRoutes()
	s.statusRoutes()
	s.edgeRoutes()
	s.formerRoutes()
}

// intake is the room for what the caller's tenant asks for.
func (s *server) intake(ctx context.Context) intake.Room {
	return intake.Room{DB: s.DB, Tenant: tenant(ctx), Draft: s.Acts.Draft, SealEAB: s.Keys.SealEAB, Contact: s.Acts.UpdateContact, CheckTarget: s.Acts.CheckTarget, CheckSolver: s.Acts.CheckSolver}
}

// write is one transaction now.
func (s *server) write(ctx context.Context, fn func(*store.Tx) error) error {
	return s.DB.Tx(ctx, time.Now(), fn)
}

func (s *server) release() api.Release {
	r := api.Release{Release: certfleet.Release, Go: runtime.Version(), StartedAt: s.Started.UTC(), Database: "sqlite", ReadOnly: s.ReadOnly}
	if s.DB.Postgres() {
		r.Database = "postgres"
	}
	return r
}
