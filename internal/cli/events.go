package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) eventsCommand() *cobra.Command {
	var kind, certificate, after string
	var since duration
	var follow bool
	var label []string
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened, or watch it happen",
		Long: `Show what happened: every change, who made it, and when; the newest last. With
--follow it goes on as things happen, until it is interrupted.`,
		Example: `  certfleet events --since 2h
  certfleet events --certificate shop.example
  certfleet events --follow --kind order.
  certfleet events --follow --after start --json >> events.jsonl`,
		Args: none,
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on as things happen")
	f.StringVar(&kind, "kind", "", "only this `KIND`, such as order.failed; with --follow also its beginning")
	f.StringVar(&certificate, "certificate", "", "only of the certificate with this `LABEL`")
	f.Var(&since, "since", "only those of this long ago or less, such as 2h")
	f.StringVar(&after, "after", "", "with --follow: go on behind this `CURSOR`, or from the start")
	filtered(cmd, &label)
	limit := limited(cmd)
	cmd.RegisterFlagCompletionFunc("certificate", p.certificateArg(0))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if follow {
			return p.followEvents(cmd.Context(), client.StreamQuery{After: after, Kind: kind, Certificate: certificate, Labelled: client.Labelled{Label: label}})
		}
		q := client.EventQuery{Kind: kind, Certificate: certificate, Labelled: client.Labelled{Label: label}}
		if since.d > 0 {
			q.Since = p.now().Add(-time.Duration(since.d))
		}
		return p.pastEvents(cmd.Context(), q, *limit)
	}
	return cmd
}

// pastEvents lists the newest events with the newest last, as a log does.
func (p *program) pastEvents(ctx context.Context, q client.EventQuery, limit int) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	if limit < 0 {
		limit = most
	}
	var all []client.Event
	for e, err := range c.Events(ctx, q) {
		if err != nil {
			return err
		}
		if all = append(all, e); len(all) == limit {
			break
		}
	}
	slices.Reverse(all)
	if !p.flags.json && len(all) == 0 {
		p.note("there are none")
	}
	for _, e := range all {
		if err := p.event(e); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) followEvents(ctx context.Context, q client.StreamQuery) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	for e, err := range c.Follow(ctx, q) {
		if errors.Is(err, context.Canceled) || ctx.Err() != nil {
			return nil // whoever watches has seen enough
		}
		if err != nil {
			return err
		}
		if err := p.event(e); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) event(e client.Event) error {
	if p.flags.json {
		return p.json(e)
	}
	_, err := fmt.Fprintf(p.Out, "%s  %s  %s%s\n", e.At.Local().Format("2006-01-02 15:04:05"), p.paint(eventTone(e.Kind), fmt.Sprintf("%-24s", e.Kind)), e.Msg, p.paint(faint, "  "+by(e)))
	return err
}

func eventTone(kind string) string {
	switch kind {
	case "order.failed", "delivery.failed", "version.revoked", "certificate.blocked":
		return red
	case "delivery.served", "version.issued":
		return green
	}
	return ""
}

// by says what an event belongs to and who did it.
func by(e client.Event) string {
	out := ""
	for _, of := range []struct {
		what string
		id   int64
	}{{"certificate", e.CertificateID}, {"order", e.OrderID}, {"version", e.VersionID}, {"target", e.TargetID}} {
		if of.id != 0 {
			out += fmt.Sprintf("%s %d, ", of.what, of.id)
		}
	}
	return "(" + out + "by " + e.Actor + ")"
}
