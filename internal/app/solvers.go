package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/solver/http01"
	"github.com/certfleet/certfleet/internal/solver/tlsalpn01"
)

// solvers are what this node can solve challenges with.
type solvers struct {
	given map[string]certfleet.Solver // by Options, by label

	mu      sync.Mutex
	dns     map[string]certfleet.Solver // by label, guarded by mu
	retired []certfleet.Solver          // replaced, and maybe still in use; guarded by mu
}

func (a *App) buildSolvers(sections config.Sections, more map[string]certfleet.Solver) (*solvers, error) {
	s := &solvers{given: more, dns: map[string]certfleet.Solver{}}
	maps.Copy(s.dns, more)
	var all error // every problem, so that a person sees them at once
	for _, section := range sections {
		solver, err := a.buildSolver(section)
		if err != nil {
			all = errors.Join(all, section.Problem(err))
			continue
		}
		s.dns[section.Label] = solver
	}
	if all != nil {
		return nil, errors.Join(all, s.close())
	}
	return s, nil
}

func (a *App) buildSolver(s config.Section) (certfleet.Solver, error) {
	if err := s.CheckPasswords(); err != nil {
		return nil, fmt.Errorf("solver %q: %w", s.Label, err)
	}
	if s.Type == "acmedns" {
		return a.acmedns(s)
	}
	return build(solverTypes, "solver", s, a.deps())
}

// find is the solver for a challenge type: http-01 and tls-alpn-01 are built in,
// dns-01 is found by label, or is the only one there is.
func (s *solvers) find(typ certfleet.ChallengeType, label string) (certfleet.Solver, error) {
	switch typ {
	case certfleet.HTTP01:
		return &http01.Solver{}, nil
	case certfleet.TLSALPN01:
		return &tlsalpn01.Solver{}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if solver, ok := s.dns[label]; ok {
		return solver, nil
	}
	labels := slices.Sorted(maps.Keys(s.dns))
	switch {
	case len(labels) == 0:
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "no dns-01 solver is configured", Advice: "add one under solvers in the configuration, and reload"}
	case label != "":
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("there is no solver %q", label), Advice: "use one of " + strings.Join(labels, ", ")}
	case len(labels) > 1:
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "several dns-01 solvers are configured", Advice: "name one in the policy or on the domain: " + strings.Join(labels, ", ")}
	}
	return s.dns[labels[0]], nil
}

// checkSolver says whether a challenge can be solved here.
func (a *App) checkSolver(typ certfleet.ChallengeType, label string) error {
	_, err := a.solvers.find(typ, label)
	return err
}

// replace takes the solvers of another configuration over. Those that were in use
// are closed at the next replacement, because a step may be using them.
func (s *solvers) replace(by *solvers) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := closeSolvers(s.retired)
	s.retired = nil
	for label, solver := range s.dns {
		if s.given[label] != solver {
			s.retired = append(s.retired, solver)
		}
	}
	s.dns = by.dns
	return err
}

func (s *solvers) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return closeSolvers(append(slices.Collect(maps.Values(s.dns)), s.retired...))
}

func closeSolvers(list []certfleet.Solver) error {
	var all error
	for _, solver := range list {
		if c, ok := solver.(io.Closer); ok {
			all = errors.Join(all, c.Close())
		}
	}
	return all
}

// answer finds the key authorization for an http-01 token; any node that shares
// the store answers.
func (a *App) answer(ctx context.Context, token string) (string, bool, error) {
	c, err := a.DB.ChallengeByToken(ctx, token)
	return keyAuth(c, err)
}

// answerTLS finds the key authorization for a tls-alpn-01 handshake.
func (a *App) answerTLS(ctx context.Context, name string) (string, bool, error) {
	c, err := a.DB.ChallengeByName(ctx, name, certfleet.TLSALPN01)
	return keyAuth(c, err)
}

func keyAuth(c *certfleet.StoredChallenge, err error) (string, bool, error) {
	if certfleet.KindOf(err) == certfleet.NotFound {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return c.KeyAuth, true, nil
}
