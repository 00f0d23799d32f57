package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

func (p *program) whyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "why NAME...",
		Short: "Say what holds for a name, why, and what comes next",
		Long: `Say from stored facts what we have for a name or label, where it was seen
served and when, when it renews and why then, what went wrong last as the CA
said it, and what to do about it. Nothing is asked of a CA or an edge for this.`,
		Example: "  certfleet why www.shop.example\n  certfleet why shop --json | jq -r .verdict",
		Args:    args(1, -1, "a host name or a label"), ValidArgsFunction: p.certificateArg(0),
		RunE: func(cmd *cobra.Command, names []string) error {
			return oneOrMore(names, func(name string) error {
				c, err := p.client(cmd.Context())
				if err != nil {
					return err
				}
				why, err := c.Why(cmd.Context(), name)
				if err != nil {
					return p.similar(cmd.Context(), err, name, certificateLabels)
				}
				if why.Verdict == "unknown" {
					return p.unknown(cmd.Context(), why)
				}
				return p.answered(why, func() { p.sayWhy(why) })
			})
		},
	}
}

func (p *program) sayWhy(w *client.Why) {
	p.say("%s: %s", p.paint(bold, w.Subject), p.paint(tone(w.Verdict), w.Verdict))
	for _, s := range w.Sentences {
		p.say("  %s", s)
	}
	if len(w.Sentences) == 0 {
		p.fields().add("problem", w.Problem).add("advice", w.Advice).add("next", w.NextStep).flush()
	}
}

// unknown answers a name that no certificate wants; a label that was mistyped is
// more likely than a name that was never added.
func (p *program) unknown(ctx context.Context, w *client.Why) error {
	if p.flags.json {
		if err := p.json(w); err != nil {
			return err
		}
	}
	err := &certfleet.Error{Kind: certfleet.NotFound, Msg: w.Subject + " is not known here: no certificate wants it", Advice: orElse(w.Advice, "see certfleet list")}
	return p.similar(ctx, err, w.Subject, certificateLabels)
}
