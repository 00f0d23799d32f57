package app

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dial"
)

// Reloaded is what came of reading the configuration again.
type Reloaded struct {
	Config  *config.Config
	Changed []string // settings that are in force now
	Restart []string // settings that wait for a restart
}

// reloadable are the settings that a running node takes over. Contact is only
// for init.
var reloadable = []string{"sealing_key", "log", "solvers", "outbound", "trusted_proxies", "contact"}

// Reload reads the configuration again and takes over what can be taken over;
// log levels are the caller's to set. When anything of it is wrong, all stays as
// it was, but for a sealing key that opens everything. It must not run twice at a time.
func (a *App) Reload() (*Reloaded, error) {
	c, err := config.Load(a.Config.Path)
	if err != nil {
		return nil, err
	}
	guard, err := dial.NewGuard(c.Outbound.Allow.Strings())
	if err != nil {
		return nil, err
	}
	rekeyed, err := a.reopenKey(c)
	if err != nil {
		return nil, err
	}
	before := a.guard.Swap(guard) // the new solvers are built with it
	fresh, err := a.buildSolvers(c.Solvers, a.solvers.given)
	if err != nil {
		a.guard.Store(before)
		return nil, err
	}
	if err := a.solvers.replace(fresh); err != nil {
		a.Log.Warn("an old solver does not end well", "err", err)
	}
	a.trusted.Store(&c.TrustedProxies)
	out := &Reloaded{Config: c}
	for _, name := range differences(a.Config, c) {
		if slices.Contains(reloadable, name) {
			out.Changed = append(out.Changed, name)
		} else {
			out.Restart = append(out.Restart, name)
		}
	}
	if rekeyed && !slices.Contains(out.Changed, "sealing_key") {
		out.Changed = append(out.Changed, "sealing_key")
	}
	return out, nil
}

// reopenTime bounds the opening of every data key with a new sealing key.
const reopenTime = 10 * time.Second

// reopenKey takes the sealing key over that is there after a rekey.
func (a *App) reopenKey(c *config.Config) (changed bool, err error) {
	if !a.ownKey {
		return false, nil
	}
	fresh, err := OpenKeeper(c)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), reopenTime)
	defer cancel()
	return a.Keys.Replace(ctx, fresh)
}

// differences are the names of the settings in which two configurations differ.
// What is inside a solver's section cannot be compared, so solvers differ
// wherever there are any.
func differences(a, b *config.Config) []string {
	var out []string
	va, vb := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range va.NumField() {
		name, _, _ := strings.Cut(va.Type().Field(i).Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "log" && a.Log.Format != b.Log.Format:
			out = append(out, "log.format")
		case name == "solvers" && len(a.Solvers)+len(b.Solvers) > 0, !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()):
			out = append(out, name)
		}
	}
	return out
}
