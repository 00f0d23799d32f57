// Package systemd is the updater that reloads or restarts a systemd unit.
package systemd

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/updater"
)

// Config names the unit.
type Config struct {
	// Unit with its ending, such as nginx.service or app@1.service.
	Unit string `json:"unit"`
	// Action is reload, restart, reload-or-restart or try-restart; empty means
	// reload-or-restart.
	Action string `json:"action,omitempty"`
	// Systemctl is the program; empty means systemctl in the PATH.
	Systemctl string `json:"systemctl,omitempty"`
	// Timeout ends the wait for the unit; zero means 60s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
}

// Updater updates one unit.
type Updater struct{ c Config }

var (
	actions = []string{"reload", "restart", "reload-or-restart", "try-restart"}
	// unit is what systemd.unit(5) allows, not beginning with what is an option.
	unit = regexp.MustCompile(`^[A-Za-z0-9:_\\@][A-Za-z0-9:_.\\@-]{0,240}\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$`)
)

// New checks the configuration; it starts nothing.
func New(c Config, _ dial.Deps) (*Updater, error) {
	c.Action, c.Systemctl = cmp.Or(c.Action, "reload-or-restart"), cmp.Or(c.Systemctl, "systemctl")
	switch {
	case !unit.MatchString(c.Unit):
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("unit %q is not the name of a systemd unit", c.Unit), Advice: "write it with its ending, such as nginx.service"}
	case !slices.Contains(actions, c.Action):
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("action %q is not known", c.Action), Advice: "use one of " + strings.Join(actions, ", ")}
	}
	return &Updater{c}, nil
}

// Update asks for the action, waits for its end, and checks that the unit is
// active afterwards: a restart may succeed and the service end a moment later.
func (u *Updater) Update(ctx context.Context, changed []certfleet.Bundle) error {
	_, err := u.Tell(ctx, changed)
	return err
}

// settle is after what time a service that cannot run has ended, where systemd calls
// it active as soon as its process is there.
const settle = time.Second

// Tell is Update, and answers the state that systemd gave last.
func (u *Updater) Tell(ctx context.Context, _ []certfleet.Bundle) (string, error) {
	if _, err := u.systemctl(ctx, u.c.Action, u.c.Unit); err != nil {
		return "", u.explain(u.c.Action, err)
	}
	state, err := u.state(ctx)
	if err != nil || state != "active" || u.c.Action == "reload" || !slices.Contains([]string{"simple", "exec", "idle"}, u.kind(ctx)) {
		return state, err
	}
	select {
	case <-ctx.Done():
		return state, ctx.Err()
	case <-time.After(settle):
		return u.state(ctx)
	}
}

// state is the unit's; one that is not active is an error.
func (u *Updater) state(ctx context.Context) (string, error) {
	state, err := u.systemctl(ctx, "is-active", u.c.Unit)
	// systemctl exits with 3 for what is not active and with 4 for what is not there.
	if word := strings.TrimSpace(string(state)); word == "inactive" && u.kind(ctx) == "oneshot" {
		return word, nil // it did its work and ended
	} else if word != "" && word != "active" {
		return word, u.explain("is-active", fmt.Errorf("its state is %q", updater.Tail(state)))
	}
	if err != nil {
		return "", u.explain("is-active", err)
	}
	return updater.Tail(state), nil
}

// kind is the unit's Type, empty when it has none.
func (u *Updater) kind(ctx context.Context) string {
	kind, err := u.systemctl(ctx, "show", u.c.Unit, "--property=Type", "--value")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(kind))
}

func (u *Updater) systemctl(ctx context.Context, args ...string) ([]byte, error) {
	argv := append([]string{u.c.Systemctl, "--no-ask-password", "--no-pager"}, args...)
	return dial.Program{Argv: argv, Env: map[string]string{"SYSTEMD_COLORS": "0"}, Timeout: time.Duration(u.c.Timeout)}.Run(ctx)
}

func (u *Updater) explain(action string, err error) error {
	e := &certfleet.Error{Kind: certfleet.Internal, Msg: fmt.Sprintf("systemctl %s %s did not succeed", action, u.c.Unit), Advice: "run journalctl -u " + u.c.Unit + " and correct what it says", Err: err}
	if kind := certfleet.KindOf(err); kind != certfleet.Internal { // the program itself is missing, refused or too slow
		e.Kind, e.Advice = kind, certfleet.AdviceOf(err)
	}
	return e
}
