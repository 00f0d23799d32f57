// Package initrc is the updater for services that init or rc scripts start.
package initrc

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/updater"
)

// Config names the service.
type Config struct {
	// Name of the script, such as nginx.
	Name string `json:"name"`
	// Action that the script is called with; empty means restart.
	Action string `json:"action,omitempty"`
	// Dirs are searched for the script, in order; empty means /etc/init.d,
	// /usr/local/etc/rc.d and /etc/rc.d.
	Dirs []string `json:"dirs,omitempty"`
	// Timeout ends the script and everything it started; zero means 60s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
}

// Updater updates one service.
type Updater struct{ c Config }

var (
	word = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$`)
	dirs = []string{"/etc/init.d", "/usr/local/etc/rc.d", "/etc/rc.d"}
)

// New checks the configuration; the script is looked for when it is needed.
func New(c Config, _ dial.Deps) (*Updater, error) {
	c.Action = cmp.Or(c.Action, "restart")
	if len(c.Dirs) == 0 {
		c.Dirs = dirs
	}
	for field, s := range map[string]string{"name": c.Name, "action": c.Action} {
		if !word.MatchString(s) {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%s %q is no plain word", field, s), Advice: "use letters, digits, dots, hyphens and underscores"}
		}
	}
	return &Updater{c}, nil
}

// Update calls the script and waits for its end.
func (u *Updater) Update(ctx context.Context, changed []certfleet.Bundle) error {
	_, err := u.Tell(ctx, changed)
	return err
}

// Tell is Update, and answers the end of what the script said.
func (u *Updater) Tell(ctx context.Context, _ []certfleet.Bundle) (string, error) {
	script, err := u.find()
	if err != nil {
		return "", err
	}
	out, err := dial.Program{Argv: []string{script, u.c.Action}, Timeout: time.Duration(u.c.Timeout)}.Run(ctx)
	return updater.Tail(out), err
}

func (u *Updater) find() (string, error) {
	for _, d := range u.c.Dirs {
		script := filepath.Join(d, u.c.Name)
		if info, err := os.Stat(script); err == nil && info.Mode().IsRegular() {
			return script, nil
		}
	}
	return "", &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("there is no script %q in %s", u.c.Name, strings.Join(u.c.Dirs, ", ")), Advice: "correct the name, or use updater systemd or script"}
}
