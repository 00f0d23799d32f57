// Package intake takes in what an operator or a source asks for: it checks it,
// and writes certificates, policies, authorities, targets and accounts.
//
// It orders nothing and delivers nothing. A row that is due is all that it
// leaves behind; what is due is found and done elsewhere:
//
//	asked for --check--> certificate, due now --(issue)--> order ...
//
// Checks are pure and come first; writes are one transaction each, with their
// event. Every write that says "this is to be" is idempotent: asked twice, it
// does nothing the second time.
package intake

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// Room takes in what belongs to one tenant. DB must be set; without one of the
// others, what needs it is refused.
type Room struct {
	DB     *store.DB
	Tenant int64 // zero means the default tenant
	// Draft is the order that a certificate would get, for manual ones.
	Draft func(ctx context.Context, c *certfleet.Certificate) (*certfleet.Order, error)
	// SealEAB seals the HMAC key of an account's external account binding.
	SealEAB func(ctx context.Context, a *certfleet.Account, hmac certfleet.Secret) ([]byte, error)
	// Contact tells the CA whom it may write to about a registered account.
	Contact func(ctx context.Context, account int64, contact []string) error
	// CheckTarget says whether a target of a type could be built from its settings.
	CheckTarget func(label, typ string, spec []byte) error
	// CheckSolver says whether a challenge can be solved here by the solver of a label.
	CheckSolver func(typ certfleet.ChallengeType, label string) error
}

// Result is a certificate after something was asked of it.
type Result struct {
	Certificate *certfleet.Certificate
	Created     bool
	Changed     bool
	Fields      []api.FieldChange // what changed
	Overlaps    []api.Overlap
	OrderID     int64 // the order that is on its way
}

func (r Room) tenant() int64 { return max(r.Tenant, certfleet.DefaultTenant) }

// write is one transaction now.
func (r Room) write(ctx context.Context, fn func(*store.Tx) error) error {
	return r.DB.Tx(ctx, time.Now(), fn)
}

func luck() float64 { return rand.Float64() }

func invalid(advice, msg string) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: msg, Advice: advice}
}

func conflict(advice, msg string) error {
	return &certfleet.Error{Kind: certfleet.Conflict, Msg: msg, Advice: advice}
}

func unable(what string) error {
	return &certfleet.Error{Kind: certfleet.Denied, Msg: what + " is not possible here", Advice: "ask a running server"}
}

// gone reports that a row does not exist.
func gone(err error) bool { return certfleet.KindOf(err) == certfleet.NotFound }
