// Package pull is the target to which nothing is pushed: the agent that stands
// for it asks for what is assigned to it, from behind NAT for instance.
package pull

import (
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

// Config has no settings: the agent's invitation names the target.
type Config struct{}

// Target waits for its agent.
type Target struct{}

// New makes one.
func New(Config, dial.Deps) (*Target, error) { return &Target{}, nil }

// Deliver refuses: what is here is fetched, and nothing opens a key for a push.
func (*Target) Deliver(context.Context, []certfleet.Bundle, []certfleet.Receipt) ([]certfleet.Receipt, error) {
	return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "nothing is pushed to a target of type pull", Advice: "let its agent fetch it: certfleet agents invite"}
}
