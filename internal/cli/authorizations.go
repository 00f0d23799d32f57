package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

var (
	authorizationHeader = []string{"ID", "STATUS", "NAME", "CHALLENGE", "ORDER", "EXPIRES", "CA SAID SO", "PROBLEM"}
	challengeHeader     = []string{"ID", "STATUS", "NAME", "TYPE", "ORDER", "PRESENTED", "HITS", "SEEN"}
)

func (p *program) authorizationRow(a client.Authorization) []string {
	name := a.Name
	if a.Wildcard {
		name = "*." + name
	}
	return []string{fmt.Sprint(a.ID), a.Status, name, dash(a.Challenge), fmt.Sprint(a.OrderID), p.day(a.ExpiresAt), relative(a.SeenAt, p.now()), cut(a.Problem, 60)}
}

func (p *program) challengeRow(c client.Challenge) []string {
	presented := "-"
	if !c.PresentedAt.IsZero() {
		presented = relative(c.PresentedAt, p.now())
	}
	hits := fmt.Sprint(c.Hits)
	if c.LastHit != "" {
		hits += " (" + c.LastHit + ")"
	}
	return []string{fmt.Sprint(c.ID), dash(c.Status), c.Name, c.Type, fmt.Sprint(c.OrderID), presented, hits, cut(c.Seen, 60)}
}

func (p *program) authorizationFlags(cmd *cobra.Command) (*client.AuthorizationQuery, *int) {
	var q client.AuthorizationQuery
	f := cmd.Flags()
	f.StringVar(&q.State, "state", "", "only those in this `STATE`, such as pending")
	f.StringVar(&q.Account, "account", "", "only those of the account with this `LABEL`")
	f.Int64Var(&q.Order, "order", 0, "only those of the order with this `ID`")
	flagWords(cmd, "state", "pending", "valid", "invalid", "deactivated", "expired", "revoked")
	cmd.RegisterFlagCompletionFunc("account", p.offers(0, accountLabels))
	filtered(cmd, &q.Label)
	return &q, limited(cmd)
}

func (p *program) authorizationsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "authorizations",
		Aliases: []string{"authz"},
		Short:   "List what CAs said about names",
		Long:    "List authorizations, newest first: what a CA last said about a name of an order.\nTo ask now, see certfleet sync.",
		Example: "  certfleet authorizations --state pending --account letsencrypt",
		Args:    none,
	}
	q, limit := p.authorizationFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		return list(p, c.Authorizations(cmd.Context(), *q), *limit, authorizationHeader, p.authorizationRow)
	}
	return cmd
}

func (p *program) challengesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "challenges",
		Short:   "List challenges, and who looked at them",
		Long:    "List challenges, newest first: what was presented and where, how often somebody\nlooked, and what the solver saw. Tokens are not shown.",
		Example: "  certfleet challenges --state pending\n  certfleet challenges --order 41",
		Args:    none,
	}
	q, limit := p.authorizationFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		return list(p, c.Challenges(cmd.Context(), *q), *limit, challengeHeader, p.challengeRow)
	}
	return cmd
}

func (p *program) deactivateCommand() *cobra.Command {
	var d client.Deactivation
	var yes bool
	cmd := &cobra.Command{
		Use:   "deactivate [ID...]",
		Short: "Give up pending authorizations at their CA",
		Long: `Give up one, some or all pending authorizations (RFC 8555 section 7.5.2). An
order that needs one of them fails by this. CAs limit how many may be pending.`,
		Example: `  certfleet deactivate 311 312
  certfleet deactivate --order 41
  certfleet deactivate --account letsencrypt --yes
  certfleet deactivate --all --yes`,
		Args: args(0, -1, "ids of authorizations"),
		RunE: func(cmd *cobra.Command, words []string) error {
			for _, w := range words {
				id, err := number("an authorization", w)
				if err != nil {
					return err
				}
				d.IDs = append(d.IDs, id)
			}
			return p.deactivate(cmd.Context(), d, yes)
		},
	}
	f := cmd.Flags()
	f.Int64Var(&d.Order, "order", 0, "all pending ones of the order with this `ID`")
	f.StringVar(&d.Account, "account", "", "all pending ones of the account with this `LABEL`")
	f.BoolVar(&d.All, "all", false, "all pending ones there are")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RegisterFlagCompletionFunc("account", p.offers(0, accountLabels))
	return cmd
}

func (p *program) deactivate(ctx context.Context, d client.Deactivation, yes bool) error {
	if len(d.IDs) == 0 && d.Order == 0 && d.Account == "" && !d.All {
		return &usageError{invalid("give ids, --order, --account or --all", "it is not said which authorizations to give up")}
	}
	if len(d.IDs) == 0 {
		if err := p.confirm(ctx, yes, "pending authorizations are given up for good"); err != nil {
			return err
		}
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	b := p.busy("asking the CA to deactivate authorizations")
	got, err := c.DeactivateAuthorizations(ctx, d)
	b.end()
	if err != nil {
		return err
	}
	if err := p.answered(got, func() { p.say("%d authorizations were given up", len(got.Deactivated)) }); err != nil {
		return err
	}
	var all []error
	for _, f := range got.Failed {
		all = append(all, withAdvice(fmt.Errorf("authorization %d: %s", f.ID, f.Problem), f.Advice))
	}
	return joined(all)
}
