package web

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// Acts are what the API has done by other rooms, which it may not know. What is
// nil is answered as not possible on this server.
type Acts struct {
	// Of the issuing room.
	RegisterAccount func(ctx context.Context, account int64) error
	// FindAccount asks a CA for the account of a key, and makes none.
	FindAccount func(ctx context.Context, authority int64, key crypto.Signer) (url string, contact []string, err error)
	// CheckAccount asks the CA how a registered account stands.
	CheckAccount      func(ctx context.Context, account int64) (url, status string, contact []string, err error)
	UpdateContact     func(ctx context.Context, account int64, contact []string) error
	RolloverAccount   func(ctx context.Context, account int64, t certfleet.KeyType) error
	DeactivateAccount func(ctx context.Context, account int64) error
	Revoke            func(ctx context.Context, version int64, reason int) error
	// AskARI asks a version's CA when it wants it renewed, and records the answer.
	AskARI          func(ctx context.Context, version int64) error
	Draft           func(ctx context.Context, c *certfleet.Certificate) (*certfleet.Order, error)
	ForgetAuthority func(authority int64)
	Directory       func(ctx context.Context, authority int64) (api.Directory, error)
	// SyncOrder asks the CA how an order stands and records it; it does nothing else.
	SyncOrder func(ctx context.Context, order int64) error
	// DeactivateAuthorization gives one authorization up and records it.
	DeactivateAuthorization func(ctx context.Context, authorization int64) error
	// Foretell says what a replacement would come to.
	Foretell func(ctx context.Context, r *certfleet.Replacement) (api.Replacement, error)
	// VersionOf describes an imported leaf and its chain; Adopt makes a stored
	// version what its certificate serves.
	VersionOf func(leaf *x509.Certificate, chain []byte) *certfleet.Version
	Adopt     func(ctx context.Context, tx *store.Tx, c *certfleet.Certificate, v *certfleet.Version, slot certfleet.SlotKind) error

	// Of the work.
	StepOrder func(ctx context.Context, order int64) error
	Running   func() []api.RunningJob // by this node
	Waiting   func() map[string]int   // in the queue by kind, where this node feeds it
	// Queued is what runs and what went wrong, on all nodes that share the queue.
	Queued    func(ctx context.Context) ([]api.RunningJob, []api.TroubledJob, error)
	DueByKind func(ctx context.Context) ([]api.DueJobs, error)
	Sweep     func(ctx context.Context, kind string, limit int, dry bool) (api.Swept, error)

	// Of the plugins.
	TargetTypes func() []api.TargetType
	CheckTarget func(label, typ string, spec []byte) error
	// ACMEDNS does things with the solvers of type acmedns.
	ACMEDNS ACMEDNS
	// CheckSolver says whether a challenge can be solved here by the solver of a label.
	CheckSolver func(typ certfleet.ChallengeType, label string) error
	// StartRun starts to prime or verify a whole target; TargetRun tells how the last
	// one stands on this node.
	StartRun  func(ctx context.Context, target int64, what string) (api.TargetRun, error)
	TargetRun func(target int64, what string) (api.TargetRun, bool)
	// Fronted builds a target with servers in front of it; an error says that it has none.
	Fronted func(t *certfleet.StoredTarget) (certfleet.Fronted, error)
}

// unable says that an act is not possible here.
func unable(what string) error {
	return &certfleet.Error{Kind: certfleet.Denied, Msg: what + " is not possible on this server", Advice: "ask a server that does the fleet's work"}
}

// act runs an act on one object, if there is one.
func act(ctx context.Context, what string, f func(context.Context, int64) error, id int64) error {
	if f == nil {
		return unable(what)
	}
	if err := f(ctx, id); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
