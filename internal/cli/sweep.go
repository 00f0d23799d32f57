package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

// kinds of work, for completion; the manager knows better.
var workKinds = []string{"renewals", "orders", "cleanups", "deliveries", "windows", "retention"}

func (p *program) sweepCommand() *cobra.Command {
	var s client.Sweep
	cmd := &cobra.Command{
		Use:   "sweep KIND",
		Short: "Do one round of one kind of work now",
		Long: `Do one round of one kind of work now: renewals (open orders that are due), orders
(take them a step further), cleanups, deliveries, windows (ask CAs when to renew),
retention. A manager that runs does all of them by itself.`,
		Example: "  certfleet sweep renewals --dry-run\n  certfleet sweep deliveries --limit 10\n  certfleet sweep orders --offline",
		Args:    args(1, 1, "a kind of work"), ValidArgsFunction: words(workKinds...),
		RunE: func(cmd *cobra.Command, words []string) error {
			s.Kind = words[0]
			return p.sweep(cmd.Context(), s)
		},
	}
	cmd.Flags().BoolVar(&s.DryRun, "dry-run", false, "only say what would be done")
	cmd.Flags().VarP((*howMany)(&s.Limit), "limit", "n", "how many at most (default 500)")
	return cmd
}

func (p *program) sweep(ctx context.Context, s client.Sweep) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	b := p.busy("sweeping %s", s.Kind)
	got, err := c.Sweep(ctx, s)
	b.end()
	if err != nil {
		return err
	}
	return p.answered(got, func() {
		for _, line := range got.Say {
			p.say("  %s", line)
		}
		p.say("%s", swept(got, s.DryRun))
	})
}

// swept says in a sentence what a round did, or would do.
func swept(got *client.Swept, dry bool) string {
	switch {
	case got.Did == 0:
		return fmt.Sprintf("%s: nothing is due", got.Kind)
	case dry && got.Did == 1:
		return fmt.Sprintf("%s: one is due and would be worked on", got.Kind)
	case dry:
		return fmt.Sprintf("%s: %d are due and would be worked on", got.Kind, got.Did)
	case got.Did == 1:
		return fmt.Sprintf("%s: one was worked on", got.Kind)
	}
	return fmt.Sprintf("%s: %d were worked on", got.Kind, got.Did)
}
