// Package dnsexec solves dns-01 (RFC 8555 section 8.4) with an operator's own
// program, which adds and deletes one TXT value.
package dnsexec

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
)

// DefaultTimeout is how long the program may take for one action.
const DefaultTimeout = time.Minute

// The ways to learn that a record is seen.
const (
	ReadyDNS     = "dns"
	ReadyProgram = "program"
	ReadyNone    = "none"
)

// Config says which program to run and how.
//
// The program is run once for each action with, in its environment,
// CERTFLEET_ACTION (present or cleanup, and ready where asked for),
// CERTFLEET_NAME (the domain), CERTFLEET_RECORD (where the TXT record goes,
// with a trailing dot, once CNAMEs were followed), CERTFLEET_VALUE (its text)
// and CERTFLEET_STATE (what the program answered to present). The same stands
// as one line of JSON on its standard input: {"action":"present",
// "name":"www.example.org","record":"_acme-challenge.www.example.org.",
// "value":"...","state":"..."}. Exit status 0 means done. Present may come
// again for a value that is there, cleanup for one that is not, and without
// state after a crash; other values at the record must stay. A last line of
// JSON on standard output is optional: {"state":"..."} after present is handed
// to cleanup.
type Config struct {
	// Command is the program and its arguments; no shell is between.
	Command []string `json:"command"`
	// Env are further environment variables, each a reference such as
	// file:/path or env:NAME. Beside them the program gets only PATH, HOME,
	// LANG and TZ of ours.
	Env map[string]string `json:"env,omitempty"`
	// Timeout of one run, after which the program and all that it started are
	// killed; zero for 1m.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
	// Ready says how to learn that the record is seen: dns (the default) asks
	// all authoritative servers, program runs the program with
	// CERTFLEET_ACTION=ready (exit status 0 for yes, 1 for not yet), none does
	// not wait.
	Ready string `json:"ready,omitempty"`
	// NoFollow keeps the record at _acme-challenge even where that is a CNAME.
	NoFollow bool `json:"no_follow,omitempty"`
	// DNS says how the CNAME and the authoritative servers are asked.
	DNS dnsq.Config `json:"dns,omitzero"`
}

// Solver runs the program.
type Solver struct {
	config   Config
	resolver *dnsq.Resolver
}

// New checks the configuration and that the program is there.
func New(c Config, d dial.Deps) (*Solver, error) {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return nil, invalid("the solver has no command", "name the program under command", nil)
	}
	if _, err := exec.LookPath(c.Command[0]); err != nil {
		return nil, invalid(fmt.Sprintf("solver program %q cannot be run", c.Command[0]), "give the full path of an executable file", err)
	}
	if c.Ready == "" {
		c.Ready = ReadyDNS
	}
	if !slices.Contains([]string{ReadyDNS, ReadyProgram, ReadyNone}, c.Ready) {
		return nil, invalid(fmt.Sprintf("ready %q is not known", c.Ready), "use one of dns, program, none", nil)
	}
	if c.Timeout <= 0 {
		c.Timeout = certfleet.Duration(DefaultTimeout)
	}
	c.DNS = c.DNS.Or(d.Resolvers)
	return &Solver{config: c, resolver: c.DNS.Resolver(d.Dial)}, nil
}

func invalid(msg, advice string, err error) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: msg, Advice: advice, Err: err}
}

// state is kept so that clean-up goes to the record that present went to, even
// if the CNAME points elsewhere by then.
type state struct {
	Record  string `json:"record"`
	Program string `json:"program,omitempty"`
}

// Present has the program add the value.
func (s *Solver) Present(ctx context.Context, c certfleet.Challenge) ([]byte, error) {
	record, err := s.record(ctx, c)
	if err != nil {
		return nil, err
	}
	a, err := s.run(ctx, ask{Action: "present", Name: c.Name.Base(), Record: record, Value: c.DNSValue()})
	if err != nil {
		return nil, err
	}
	return json.Marshal(state{Record: record, Program: a.State})
}

// CleanUp has the program delete the value.
func (s *Solver) CleanUp(ctx context.Context, c certfleet.Challenge, saved []byte) error {
	a, err := s.again(ctx, "cleanup", c, saved)
	if err != nil {
		return err
	}
	_, err = s.run(ctx, a)
	return err
}

// Ready looks once whether the value is seen.
func (s *Solver) Ready(ctx context.Context, c certfleet.Challenge, saved []byte) (bool, string, error) {
	switch s.config.Ready {
	case ReadyNone:
		return true, "nobody looked, as configured", nil
	case ReadyProgram:
		a, err := s.again(ctx, "ready", c, saved)
		if err != nil {
			return false, "", err
		}
		return s.askReady(ctx, a)
	}
	view, err := s.resolver.Look(ctx, c.DNSName(), c.DNSValue())
	if err != nil {
		return false, "", err
	}
	return view.Ready(), view.String(), nil
}

// again is what a later action is asked with, state or not.
func (s *Solver) again(ctx context.Context, action string, c certfleet.Challenge, saved []byte) (ask, error) {
	var st state
	if len(saved) > 0 {
		if err := json.Unmarshal(saved, &st); err != nil {
			return ask{}, fmt.Errorf("read the solver's state: %w", err)
		}
	}
	if st.Record == "" {
		record, err := s.record(ctx, c)
		if err != nil {
			return ask{}, err
		}
		st.Record = record
	}
	return ask{Action: action, Name: c.Name.Base(), Record: st.Record, Value: c.DNSValue(), State: st.Program}, nil
}

func (s *Solver) record(ctx context.Context, c certfleet.Challenge) (string, error) {
	if s.config.NoFollow {
		return c.DNSName(), nil
	}
	return s.resolver.Follow(ctx, c.DNSName())
}
