package cli

import (
	"github.com/spf13/cobra"

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
