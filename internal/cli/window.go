package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

func (p *program) askWindow() *cobra.Command {
	return &cobra.Command{
		Use: "window ID", Short: "Ask the CA when it wants a version renewed", Long: "Ask the CA now when it wants a version renewed (RFC 9773), before the manager would\nask by itself. What it says moves the due time as always.",
		Example: "  certfleet versions window 12", Args: args(1, 1, "the id of a version"),
		RunE: func(cmd *cobra.Command, words []string) error { return p.sayWindow(cmd.Context(), words[0]) },
	}
}

func (p *program) sayWindow(ctx context.Context, id string) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	b := p.busy("asking the CA")
	v, err := c.AskARI(ctx, id)
	b.end()
	if err != nil {
		return err
	}
	if err := p.answered(v, func() { p.sayAsked(v) }); err != nil || v.ARIProblem == "" {
		return err
	}
	return &certfleet.Error{Kind: certfleet.Unreachable, Msg: v.ARIProblem, Advice: "ask again later; what was known stays"}
}

func (p *program) sayAsked(v *client.Version) {
	p.fields().add("window", word(v.ARIStart.IsZero(), "", p.when(v.ARIStart)+" to "+p.when(v.ARIEnd))).add("drawn in it", p.when(v.ARIAt)).
		add("why", v.ARIURL).add("asked again", p.when(v.ARIPollAt)).add("problem", v.ARIProblem).flush()
}
