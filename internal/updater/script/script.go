// Package script is the updater that runs an operator's program.
package script

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/updater"
)

// Config names the program.
type Config struct {
	// Command is the program and its arguments, as a list without a shell. It
	// finds what changed in its environment: CERTFLEET_CERTIFICATES and
	// CERTFLEET_LINEAGE (one a line), CERTFLEET_DOMAINS (with spaces between),
	// and for a single certificate RENEWED_LINEAGE and RENEWED_DOMAINS, as
	// certbot's deploy hooks do.
	Command []string `json:"command"`
	// Each runs the command once for each certificate, instead of once for all.
	Each bool `json:"each,omitempty"`
	// Inherit names variables that the program gets of our environment, beside the
	// few harmless ones; * means all.
	Inherit []string `json:"inherit,omitempty"`
	// Timeout ends the program and everything it started; zero means 60s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
}

// Updater runs one program.
type Updater struct{ c Config }

// New checks the configuration; it starts nothing.
func New(c Config, _ dial.Deps) (*Updater, error) {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "updater script has no command", Advice: `give the program and its arguments as a list, such as ["/usr/local/bin/reload-it"]`}
	}
	return &Updater{c}, nil
}

// Update runs the program to its end.
func (u *Updater) Update(ctx context.Context, changed []certfleet.Bundle) error {
	_, err := u.Tell(ctx, changed)
	return err
}

// Tell is Update, and answers the end of what the program wrote to standard output.
func (u *Updater) Tell(ctx context.Context, changed []certfleet.Bundle) (string, error) {
	if !u.c.Each {
		return u.run(ctx, changed)
	}
	var said []string
	for i := range changed {
		s, err := u.run(ctx, changed[i:i+1])
		said = append(said, s)
		if err != nil {
			return updater.Tail([]byte(strings.Join(said, "\n"))), err
		}
	}
	return updater.Tail([]byte(strings.Join(said, "\n"))), nil
}

func (u *Updater) run(ctx context.Context, changed []certfleet.Bundle) (string, error) {
	p := dial.Program{Argv: u.c.Command, Env: u.environ(changed), Timeout: time.Duration(u.c.Timeout)}
	out, err := p.Run(ctx)
	return updater.Tail(out), err
}

// environ is what changed and what is inherited; the former counts.
func (u *Updater) environ(changed []certfleet.Bundle) map[string]string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if slices.Contains(u.c.Inherit, name) || slices.Contains(u.c.Inherit, "*") {
			env[name] = value
		}
	}
	maps.Copy(env, updater.Environ(changed))
	return env
}
