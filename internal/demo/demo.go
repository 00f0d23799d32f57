// Package demo shows the whole of certfleet on one machine, without a network:
// a CA with real validation, a manager and a TLS edge in this process, which
// bring a handful of names onto certificates before one's eyes.
//
// What it starts is what serve starts: the CA is Pebble, the edge is a toy, all
// else is the product.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
)

// patience is how long the names may take to be served.
const patience = 60 * time.Second

// Options say how to show it. The zero value of all but Out is good.
type Options struct {
	// Once ends when every name is served, or is known to fail.
	Once bool
	// Dir holds everything and stays; empty means a temporary folder.
	Dir string
	// JSON writes one line a name, and nothing else.
	JSON bool
	// Out is where to show it, Err is for what went wrong on the side.
	Out, Err io.Writer
	// Color and Terminal say what Out can do; Width is in columns, 80 if zero.
	Color, Terminal bool
	Width           int

	// For tests: the life of the short-lived profile, patience, names that do
	// not resolve, and what is called when the names' end was told.
	life   time.Duration
	within time.Duration
	gone   map[string]bool
	told   func(*demo)
}

// demo is one run.
type demo struct {
	Options
	*home
	screen  *screen
	ca      *pebble.CA
	edge    *edge
	beside  *machine
	nginx   *nginx // nil where it is not installed
	without string // why there is no nginx
	node    *node
	fleet   *fleet
	began   time.Time
	ready   time.Duration // from the start until the manager listens
}

// Run shows it until ctx ends, or with Once until the end is known. An error
// means that something could not be started, or that a name was not seen in a
// handshake that should have been.
func Run(ctx context.Context, o Options) error {
	d := &demo{Options: o.withDefaults(), began: time.Now()}
	d.screen = &screen{out: d.Out, terminal: d.Terminal && !d.JSON, color: d.Color, width: d.Width, quiet: d.JSON}
	var err error
	if d.home, err = openHome(o.Dir); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(store.WithActor(ctx, "user:demo"))
	defer cancel(nil)
	if err = d.start(ctx, cancel); err == nil {
		err = d.show(ctx)
	}
	err = errors.Join(err, d.stop(), d.home.leave())
	d.farewell()
	return err
}

func (o Options) withDefaults() Options {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Err == nil {
		o.Err = io.Discard
	}
	if o.Width <= 0 {
		o.Width = 80
	}
	if o.life <= 0 {
		o.life = shortLife
	}
	if o.within <= 0 {
		o.within = patience
	}
	return o
}

// start starts the CA, the edge and the manager, and asks for the names.
func (d *demo) start(ctx context.Context, failed context.CancelCauseFunc) error {
	var err error
	if d.ca, err = startAuthority(d.home, d.life, d.gone); err != nil {
		return err
	}
	if d.edge, err = startEdge(d.path("edge", "live")); err != nil {
		return err
	}
	if d.beside, err = startMachine(d.home); err != nil {
		return err
	}
	d.openNginx()
	if err = d.home.configure(d.ca); err != nil {
		return err
	}
	if d.node, err = openNode(ctx, d.home, d.ca); err != nil {
		return err
	}
	if d.fleet, err = settle(ctx, d.node.DB, d.home, d.ca, d.places()); err != nil {
		return err
	}
	if err = d.node.start(ctx, failed); err != nil {
		return err
	}
	d.ready = time.Since(d.began)
	return d.fleet.ask(ctx)
}

// show follows the names to their end, and then goes on unless Once.
func (d *demo) show(ctx context.Context) error {
	d.greet()
	first, cancel := context.WithTimeout(ctx, d.within)
	err := d.follow(first, d.fleet.settled)
	cancel()
	if cause := context.Cause(ctx); cause != nil {
		return d.interrupted(cause)
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	d.look(ctx)
	if err := d.report(); err != nil {
		return err
	}
	if !d.JSON {
		d.throughNginx(ctx)
	}
	missing := d.fleet.missing()
	if d.Once {
		return missing
	}
	if missing != nil {
		d.complain(missing)
	}
	d.explain()
	if d.told != nil {
		d.told(d)
	}
	return d.live(ctx)
}

// interrupted tells a person who ended it from a manager that could not go on.
func (d *demo) interrupted(cause error) error {
	if !errors.Is(cause, context.Canceled) {
		return cause
	}
	if d.Once {
		return &certfleet.Error{Kind: certfleet.Internal, Msg: "the demo was ended before its names were served", Advice: "run it again and let it end by itself"}
	}
	return nil
}

// stop ends what was started, the manager first: its last steps want the CA.
func (d *demo) stop() error {
	var all error
	if d.node != nil {
		all = errors.Join(all, d.node.stop())
	}
	if d.nginx != nil {
		all = errors.Join(all, d.nginx.close())
	}
	if d.beside != nil {
		all = errors.Join(all, d.beside.close())
	}
	if d.edge != nil {
		all = errors.Join(all, d.edge.close())
	}
	if d.ca != nil {
		all = errors.Join(all, d.ca.Close())
	}
	return all
}

// greet says what was started.
func (d *demo) greet() {
	d.screen.say("certfleet demo: a CA (Pebble), a manager, a TLS edge, and an agent with a service behind it, in one process.")
	if d.nginx != nil {
		d.screen.say("Beside it run nginx with certfleet's Lua module, and the Redis that it finds names in.")
	}
	d.screen.say(fmt.Sprintf("The manager listens at %s, %s after the start. All of it is in %s", d.config.BaseURL(), millis(d.ready), d.dir))
	d.screen.say("")
}

// complain tells what is missing, and the demo goes on.
func (d *demo) complain(err error) {
	fmt.Fprintf(d.Err, "error: %v\nadvice: %s\n", err, certfleet.AdviceOf(err))
}

// farewell says what is left.
func (d *demo) farewell() {
	if d.temporary {
		d.screen.say("The demo has ended, and " + d.dir + " is removed.")
		return
	}
	var left []string
	for _, name := range []string{"certfleet.db", configFile, "certfleet.log", "edge", "machine"} {
		if _, err := os.Stat(d.path(name)); err == nil {
			left = append(left, name)
		}
	}
	d.screen.say("The demo has ended. Left in " + d.dir + ": " + strings.Join(left, ", ") + " and what belongs to them.")
	d.screen.say("Look into it with: certfleet --config " + d.path(configFile) + " list --offline")
}

func millis(t time.Duration) string {
	return fmt.Sprintf("%d ms", t.Round(time.Millisecond).Milliseconds())
}
