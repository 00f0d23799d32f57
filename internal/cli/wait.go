package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// waiting are the flags of commands that may wait for what they started.
type waiting struct {
	on  bool
	max duration
}

func (w *waiting) flags(cmd *cobra.Command) {
	w.max.d = certfleet.Duration(5 * time.Minute)
	cmd.Flags().BoolVar(&w.on, "wait", false, "wait until it is issued and seen served, or has failed")
	cmd.Flags().Var(&w.max, "timeout", "how long to wait at most, such as 10m")
}

func (w *waiting) check(p *program) error {
	if w.on && p.flags.offline {
		return invalid("leave out --wait, and run certfleet run --once afterwards", "--offline has nobody who works while we wait")
	}
	return nil
}

// look is how often a wait asks again.
const look = 500 * time.Millisecond

// wait follows a certificate until a version newer than before is in use and
// has arrived where it goes, or until an order failed.
func (p *program) wait(ctx context.Context, c *client.Client, cert *client.CertificateAnswer, before int64, w waiting) error {
	ctx, cancel := bounded(ctx, time.Duration(w.max.d))
	defer cancel()
	b := p.busy("waiting for %s", cert.Label)
	why, err := p.follow(ctx, c, cert.Label, before, cert.Failures, b)
	b.end()
	if errors.Is(err, context.DeadlineExceeded) {
		return &certfleet.Error{Kind: certfleet.Limited, Msg: fmt.Sprintf("%s was not done within %s", cert.Label, span(time.Duration(w.max.d))),
			Advice: "see certfleet why " + cert.Label + "; the work goes on without anybody waiting"}
	}
	if err != nil {
		return err
	}
	return p.answered(why, func() { p.sayWhy(why) })
}

func (p *program) follow(ctx context.Context, c *client.Client, label string, before int64, failures int, b *busy) (*client.Why, error) {
	for {
		why, err := c.Why(ctx, label)
		if err != nil {
			return nil, err
		}
		done, what, err := p.waited(ctx, c, why, before, failures)
		if done || err != nil {
			return why, err
		}
		b.set("%s: %s", label, what)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(look):
		}
	}
}

// waited reports whether the wait is over, and else what it waits for.
func (p *program) waited(ctx context.Context, c *client.Client, w *client.Why, before int64, failures int) (bool, string, error) {
	cert := w.Certificate
	switch {
	case cert == nil:
		return true, "", nil
	case cert.Failures > failures:
		return true, "", &certfleet.Error{Msg: cert.Label + ": " + cert.Problem, Advice: cert.Advice, Retry: cert.DueAt}
	case cert.VersionID <= before || cert.VersionID == 0:
		return false, dash(w.NextStep), nil
	}
	return arrived(ctx, c, cert.VersionID)
}

// arrived reports whether a version is everywhere it goes: seen, or at rest
// where nobody looks.
func arrived(ctx context.Context, c *client.Client, version int64) (bool, string, error) {
	for d, err := range c.Deliveries(ctx, client.DeliveryQuery{Version: version}) {
		switch {
		case err != nil:
			return false, "", err
		case d.State == "failed":
			return true, "", &certfleet.Error{Msg: fmt.Sprintf("it is issued, but cannot be brought to %s: %s", d.Target, d.Problem), Advice: d.Advice, Retry: d.DueAt}
		case d.State == "served" || d.State == "superseded" || d.DueAt.IsZero() && d.State != "due":
		default:
			return false, strings.TrimRight("issued, on its way to "+d.Target+": "+d.Problem, ": "), nil
		}
	}
	return true, "", nil
}
