package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) domainsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "domains",
		Short:   "List names, and set how each is proved",
		Long:    "List the names that certificates want: who named them, how each is proved to a CA,\nand whether it is parked. Without a subcommand it is the same as domains list.",
		Example: "  certfleet domains --part shop\n  certfleet domains set '*.apps.example' --challenge dns-01 --solver office",
	}
	query, limit := p.domainFlags(cmd)
	sub := &cobra.Command{Use: "list", Short: "List names", Long: cmd.Long, Example: "  certfleet domains list --label tenant=acme", Args: none}
	subQuery, subLimit := p.domainFlags(sub)
	sub.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.listDomains(cmd.Context(), *subQuery, *subLimit)
	}
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listDomains(cmd.Context(), *query, *limit) }, sub, p.showDomain(), p.setDomain())
}

func (p *program) domainFlags(cmd *cobra.Command) (*client.DomainQuery, *int) {
	var q client.DomainQuery
	cmd.Flags().StringVar(&q.Part, "part", "", "only names with this `PART`, from the start of a label")
	filtered(cmd, &q.Label)
	return &q, limited(cmd)
}

func (p *program) listDomains(ctx context.Context, q client.DomainQuery, limit int) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	return list(p, c.Domains(ctx, q), limit, []string{"NAME", "REGISTERED", "SOURCE", "CHALLENGE", "SOLVER", "PARKED", "LABELS"}, func(d client.Domain) []string {
		return []string{d.Name, d.Registered, d.Source, dash(d.Challenge), dash(d.Solver), parked(d), labelText(d.Labels)}
	})
}

func parked(d client.Domain) string {
	if d.ParkedAt.IsZero() {
		return "-"
	}
	return cut(d.ParkedReason, 60)
}

func (p *program) showDomain() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show what is known of a name", Long: "Show what is known of a name. For the certificates that have it, see certfleet why.", Example: "  certfleet domains show www.shop.example", Args: args(1, 1, "a name"),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			d, err := c.Domain(cmd.Context(), words[0])
			if err != nil {
				return err
			}
			return p.answered(d, func() { p.sayDomain(d) })
		},
	}
}

func (p *program) sayDomain(d *client.Domain) {
	p.fields().add("name", d.Name).add("registered", d.Registered).add("named by", d.Source).add("challenge", d.Challenge).add("solver", d.Solver).
		add("parked", p.when(d.ParkedAt)).add("because", d.ParkedReason).add("labels", labelText(d.Labels)).add("added", p.when(d.CreatedAt)).flush()
}

func (p *program) setDomain() *cobra.Command {
	var challenge, solver string
	var labels []string
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Set how a name is proved", Long: "Set how a name is proved to CAs, whatever the policy says, and the labels it\ncarries. An empty --challenge goes back to the policy's.",
		Example: "  certfleet domains set www.shop.example --challenge dns-01 --solver office", Args: args(1, 1, "a name"),
	}
	f := cmd.Flags()
	f.StringVar(&challenge, "challenge", "", "http-01, dns-01 or tls-alpn-01; empty for what the policy says")
	f.StringVar(&solver, "solver", "", "the `LABEL` of the solver for dns-01")
	f.StringArrayVar(&labels, "label", nil, "`KEY=VALUE`; all labels are replaced")
	flagWords(cmd, "challenge", "http-01", "dns-01", "tls-alpn-01")
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		var ch client.DomainChange
		if f.Changed("challenge") {
			ch.Challenge = &challenge
		}
		if f.Changed("solver") {
			ch.Solver = &solver
		}
		if f.Changed("label") {
			m, err := labelled(labels)
			if err != nil {
				return err
			}
			ch.Labels = &m
		}
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		d, err := c.ChangeDomain(cmd.Context(), words[0], ch)
		if err != nil {
			return err
		}
		return p.answered(d, func() { p.sayDomain(d) })
	}
	return cmd
}
