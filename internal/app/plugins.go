package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/solver/dnsexec"
	"github.com/certfleet/certfleet/internal/solver/lego"
	"github.com/certfleet/certfleet/internal/solver/rfc2136"
	"github.com/certfleet/certfleet/internal/target/exec"
	"github.com/certfleet/certfleet/internal/target/files"
	"github.com/certfleet/certfleet/internal/target/pull"
	"github.com/certfleet/certfleet/internal/target/redis"
	"github.com/certfleet/certfleet/internal/target/sftp"
)

// Every plugin of the house, one line each.
var (
	solverTypes = map[string]func(config.Section, dial.Deps) (certfleet.Solver, error){
		"exec":    plugin[certfleet.Solver](dnsexec.New),
		"dnsexec": plugin[certfleet.Solver](dnsexec.New), // the same, by its room's name
		"rfc2136": plugin[certfleet.Solver](rfc2136.New),
		"lego":    plugin[certfleet.Solver](lego.New),
	}
	targetTypes = map[string]func(config.Section, dial.Deps) (certfleet.Target, error){
		"files": plugin[certfleet.Target](files.New),
		"exec":  plugin[certfleet.Target](exec.New),
		"sftp":  plugin[certfleet.Target](sftp.New),
		"redis": plugin[certfleet.Target](redis.New),
		"pull":  plugin[certfleet.Target](pull.New),
	}
	// configs are the plugins' own settings, for help and documentation.
	configs = map[string]any{
		"solver dnsexec": dnsexec.Config{}, "solver rfc2136": rfc2136.Config{}, "solver lego": lego.Config{},
		"target files": files.Config{}, "target exec": exec.Config{},
		"target sftp": sftp.Config{}, "target redis": redis.Config{}, "target pull": pull.Config{},
	}
)

// plugin turns a constructor that takes its own Config into one that takes a
// section of configuration.
func plugin[P, C, T any](construct func(C, dial.Deps) (T, error)) func(config.Section, dial.Deps) (P, error) {
	return func(s config.Section, d dial.Deps) (p P, err error) {
		var c C
		if err := s.Decode(&c); err != nil {
			return p, err
		}
		t, err := construct(c, d)
		if err != nil {
			return p, err
		}
		return any(t).(P), nil
	}
}

func build[P any](kinds map[string]func(config.Section, dial.Deps) (P, error), what string, s config.Section, d dial.Deps) (p P, err error) {
	f, ok := kinds[s.Type]
	if !ok {
		known := slices.Collect(maps.Keys(kinds))
		if what == "solver" {
			known = append(known, "acmedns") // built apart: it keeps credentials in the store
		}
		slices.Sort(known)
		return p, s.UnknownType(what, known)
	}
	if p, err = f(s, d); err != nil {
		return p, fmt.Errorf("%s %q: %w", what, s.Label, err)
	}
	return p, nil
}

// deps is what plugins are handed.
func (a *App) deps() dial.Deps {
	d := a.guard.Load().Deps(a.Log)
	d.Resolvers = a.Config.DNS.Resolvers
	return d
}

// target builds the plugin for a stored target.
func (a *App) target(t *certfleet.StoredTarget) (certfleet.Target, error) {
	spec := t.Spec
	if len(spec) == 0 {
		spec = []byte("{}")
	}
	s, err := config.NewSection(t.Label, t.Type, json.RawMessage(spec))
	if err != nil {
		return nil, err
	}
	if err := s.CheckPasswords(); err != nil {
		return nil, fmt.Errorf("target %q: %w", t.Label, err)
	}
	return build(targetTypes, "target", s, a.deps())
}

// CheckTarget says whether a target could be built from its type and settings.
func (a *App) CheckTarget(label, typ string, spec []byte) error {
	_, err := a.target(&certfleet.StoredTarget{Label: label, Type: typ, Spec: spec})
	return err
}
