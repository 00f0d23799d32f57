// Package nginx is the updater that tests nginx's configuration, and reloads it
// only when the test succeeds.
package nginx

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/updater"
)

// Config says which nginx.
type Config struct {
	// Program is nginx or OpenResty; empty means nginx in the PATH.
	Program string `json:"program,omitempty"`
	// Conf is its configuration file; empty means the one it was built with.
	Conf string `json:"conf,omitempty"`
	// Prefix is the folder that relative paths in it are below; empty means the
	// one it was built with.
	Prefix string `json:"prefix,omitempty"`
	// Timeout ends each of the two calls; zero means 60s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
}

// Updater reloads one nginx.
type Updater struct{ c Config }

// New checks the configuration; it starts nothing.
func New(c Config, _ dial.Deps) (*Updater, error) {
	c.Program = cmp.Or(c.Program, "nginx")
	for field, p := range map[string]string{"conf": c.Conf, "prefix": c.Prefix} {
		if p != "" && !filepath.IsAbs(p) {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%s %q is not an absolute path", field, p), Advice: "write the path from the root on"}
		}
	}
	return &Updater{c}, nil
}

// Update runs nginx -t, and then nginx -s reload. A configuration that nginx
// refuses leaves the running one alone.
func (u *Updater) Update(ctx context.Context, changed []certfleet.Bundle) error {
	_, err := u.Tell(ctx, changed)
	return err
}

// Tell is Update, and answers the end of what nginx said to standard output.
func (u *Updater) Tell(ctx context.Context, _ []certfleet.Bundle) (string, error) {
	if out, err := u.nginx(ctx, "-t"); err != nil {
		return updater.Tail(out), explain("nginx refuses its configuration, and was not reloaded", "run nginx -t and correct what it says", err)
	}
	out, err := u.nginx(ctx, "-s", "reload")
	return updater.Tail(out), explain("nginx could not be told to reload", "check that nginx runs, and that certfleet runs as root or as its user", err)
}

func (u *Updater) nginx(ctx context.Context, args ...string) ([]byte, error) {
	argv := []string{u.c.Program}
	if u.c.Prefix != "" {
		argv = append(argv, "-p", u.c.Prefix)
	}
	if u.c.Conf != "" {
		argv = append(argv, "-c", u.c.Conf)
	}
	return dial.Program{Argv: append(argv, args...), Timeout: time.Duration(u.c.Timeout)}.Run(ctx)
}

func explain(msg, advice string, err error) error {
	if err == nil || certfleet.KindOf(err) != certfleet.Internal { // missing, refused or too slow says it itself
		return err
	}
	return &certfleet.Error{Kind: certfleet.Internal, Msg: msg, Advice: advice, Err: err}
}
