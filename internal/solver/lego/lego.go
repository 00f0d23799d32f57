// Package lego solves dns-01 (RFC 8555 section 8.4) at some two hundred DNS
// providers through certfleet-dns, a program of its own: foreign SDKs and their
// credentials never share a process with the keys.
//
// One child runs for each credential, because the providers read theirs from
// the environment. It answers one request at a time, one line of JSON each:
//
//	child:  {"hello":{"protocol":1,"version":"1.2.3","provider":"cloudflare"}}
//	parent: {"id":1,"op":"present","domain":"www.example.org","token":"...","key_auth":"...","timeout_ms":180000}
//	child:  {"id":1}
//	parent: {"id":2,"op":"cleanup","domain":"www.example.org","token":"...","key_auth":"...","timeout_ms":180000}
//	child:  {"id":2,"error":"what the provider said","remains":true}
//
// When its input ends, the child cleans up whatever it presented and exits, so
// that the death of the parent leaves no record behind.
//
// What cannot be promised: about one provider in four knows a record's id only
// in the memory of the process that made it. A child that is asked to clean up
// what another child presented tries to, and if the provider needs the id,
// presents the same value again to learn it. Where the provider refuses even
// that, the error says which TXT value remains. A machine that loses power
// between Present and CleanUp can leave a record in this way.
package lego

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
)

// Program is the name of the child's program.
const Program = "certfleet-dns"

// DefaultTimeout is for one call of a provider; some wait inside until their
// own servers agree.
const DefaultTimeout = 3 * time.Minute

// Config says which provider is used with which credential. Use two solvers
// for two credentials of one provider.
type Config struct {
	// Provider by its name in `certfleet-dns list`, such as cloudflare.
	Provider string `json:"provider"`
	// Env are the provider's secret variables, each a reference such as
	// file:/path or env:NAME; `certfleet-dns help PROVIDER` names them.
	Env map[string]string `json:"env,omitempty"`
	// Settings are the provider's variables that are no secrets, in the clear.
	Settings map[string]string `json:"settings,omitempty"`
	// Program is the path of certfleet-dns; empty for the one beside our own
	// program, or else in PATH.
	Program string `json:"program,omitempty"`
	// Timeout of one call, after which the child is killed; zero for 3m.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
	// PropagationTimeout is how long a record may take to be seen everywhere
	// before the challenge is given up; zero leaves that to the order.
	PropagationTimeout certfleet.Duration `json:"propagation_timeout,omitempty"`
	// DNS says how the CNAME and the authoritative servers are asked; the child
	// asks the same resolvers.
	DNS dnsq.Config `json:"dns,omitzero"`
}

// Solver keeps one child for its credential, starting it when it is needed and
// letting it go when it has had nothing to do for a while.
type Solver struct {
	config   Config
	program  string
	resolver *dnsq.Resolver
	log      *slog.Logger
	idle     time.Duration

	slot  chan struct{}  // holds a token while somebody uses child and rest
	child *child         // guarded by slot; nil when none runs
	rest  *time.Timer    // guarded by slot; ends an idle child
	late  sync.WaitGroup // callers that went away before their answer came
	ended chan struct{}  // closed by Close
	once  sync.Once
}

var providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// New checks the configuration and finds the program; no child is started yet.
// Close ends the child.
func New(c Config, d dial.Deps) (*Solver, error) {
	if !providerName.MatchString(c.Provider) {
		return nil, invalid(fmt.Sprintf("provider %q is not a name", c.Provider), "choose one that certfleet-dns list prints", nil)
	}
	program, err := find(c.Program)
	if err != nil {
		return nil, err
	}
	if c.Timeout <= 0 {
		c.Timeout = certfleet.Duration(DefaultTimeout)
	}
	c.DNS = c.DNS.Or(d.Resolvers)
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return &Solver{
		config: c, program: program, resolver: c.DNS.Resolver(d.Dial), log: d.Log, idle: idleTime,
		slot: make(chan struct{}, 1), ended: make(chan struct{}),
	}, nil
}

func invalid(msg, advice string, err error) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: msg, Advice: advice, Err: err}
}

func find(program string) (string, error) {
	if program == "" {
		program = Program
		if self, err := os.Executable(); err == nil {
			beside := filepath.Join(filepath.Dir(self), Program)
			if _, err := os.Stat(beside); err == nil {
				program = beside
			}
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", invalid(fmt.Sprintf("program %q cannot be run", program), "install certfleet-dns beside certfleet, or give its path under program", err)
	}
	return path, nil
}

// state remembers since when the record should be seen.
type state struct {
	At int64 `json:"at"` // certfleet.Millis
}

// Present has the provider add the value.
func (s *Solver) Present(ctx context.Context, c certfleet.Challenge) ([]byte, error) {
	if err := s.call(ctx, "present", c); err != nil {
		return nil, err
	}
	return json.Marshal(state{At: certfleet.Millis(time.Now())})
}

// CleanUp has the provider delete the value; see the package for what happens
// when the child that presented it is gone.
func (s *Solver) CleanUp(ctx context.Context, c certfleet.Challenge, _ []byte) error {
	return s.call(ctx, "cleanup", c)
}

// Ready looks once whether all authoritative servers show the value. A child
// that ended took its records with it, so they are presented again.
func (s *Solver) Ready(ctx context.Context, c certfleet.Challenge, saved []byte) (bool, string, error) {
	view, err := s.resolver.Look(ctx, c.DNSName(), c.DNSValue())
	if err != nil {
		return false, "", err
	}
	if view.Ready() {
		return true, view.String(), nil
	}
	if err := s.givenUp(saved, time.Now(), view); err != nil {
		return false, view.String(), err
	}
	known, err := s.presented(ctx, c)
	if err != nil || known {
		return false, view.String(), err
	}
	if err := s.call(ctx, "present", c); err != nil {
		return false, view.String(), err
	}
	return false, view.String() + "; it was presented again, because the child that did so is gone", nil
}

func (s *Solver) givenUp(saved []byte, now time.Time, view dnsq.View) error {
	limit := time.Duration(s.config.PropagationTimeout)
	var st state
	if limit <= 0 || json.Unmarshal(saved, &st) != nil || st.At == 0 || now.Sub(certfleet.FromMillis(st.At)) < limit {
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("the TXT record is not seen everywhere %v after it was presented: %s", limit, view), Advice: "raise propagation_timeout, or see at the provider why its servers differ"}
}
