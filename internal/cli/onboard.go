package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) onboardCommand() *cobra.Command {
	var o client.Onboarding
	cmd := &cobra.Command{
		Use:   "onboard FACTORY DOMAIN...",
		Short: "Make the certificates of customers' domains",
		Long: `Make the certificates that an enrollment factory makes of domains. Each domain is
taken in by itself: one that is refused keeps no other from it. Asking again is
harmless.`,
		Example: "  certfleet onboard web-hosting shop.example blog.example --dry-run\n  certfleet onboard web-hosting shop.example --note 'ticket 4711'\n  certfleet onboard query web-hosting shop.example",
		Args:    args(2, -1, "the label of a factory, and domains"), ValidArgsFunction: p.offers(1, factoryLabels),
	}
	f := cmd.Flags()
	f.BoolVar(&o.DryRun, "dry-run", false, "only say what would be made")
	f.BoolVar(&o.Update, "update", false, "change a certificate that has the label already")
	f.StringVar(&o.Note, "note", "", "kept with the event")
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		o.Domains = words[1:]
		return p.onboard(cmd.Context(), words[0], o)
	}
	cmd.AddCommand(p.queryFactory())
	return cmd
}

func (p *program) onboard(ctx context.Context, factory string, o client.Onboarding) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	got, err := c.Onboard(ctx, factory, o)
	if err != nil {
		return p.similar(ctx, err, factory, factoryLabels)
	}
	if err := p.answered(got, func() { p.sayOnboarded(got) }); err != nil {
		return err
	}
	if got.Failed > 0 {
		return errSilent
	}
	return nil
}

func (p *program) sayOnboarded(o *client.Onboarded) {
	for _, e := range o.Domains {
		p.sayEnrollment(&e)
	}
	would := ""
	if o.DryRun {
		would = "would be "
	}
	p.say("%d %screated, %d %schanged, %d refused", o.Created, would, o.Changed, would, o.Failed)
}

func (p *program) sayEnrollment(e *client.Enrollment) {
	switch {
	case e.Problem != "":
		p.say("%s %s: %s", p.paint(red, "!"), e.Domain, e.Problem)
		p.say("    advice: %s", e.Advice)
		return
	case e.Created:
		p.say("%s %s: certificate %s by policy %s", p.paint(green, "+"), e.Domain, e.Label, e.Policy)
	case e.Changed:
		p.say("%s %s: certificate %s changed", p.paint(yellow, "~"), e.Domain, e.Label)
	case e.Certificate != nil:
		p.say("= %s: certificate %s is there, %s", e.Domain, e.Label, e.Certificate.State)
	default:
		p.say("- %s: certificate %s is not there", e.Domain, e.Label)
	}
	for _, n := range e.Names {
		then := ""
		if n.Second != "" {
			then = ", then " + n.Second
		}
		p.say("    %s by %s%s", n.Name, n.Challenge, then)
	}
}

func (p *program) queryFactory() *cobra.Command {
	return &cobra.Command{
		Use: "query FACTORY DOMAIN", Short: "Say what a factory makes of a domain", Long: "Say what an enrollment factory makes of a domain, and how the certificate stands\nif it is there. It changes nothing.",
		Example: "  certfleet onboard query web-hosting shop.example", Args: args(2, 2, "the label of a factory, and a domain"), ValidArgsFunction: p.offers(1, factoryLabels),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			e, err := c.Enrolled(cmd.Context(), words[0], words[1])
			if err != nil {
				return p.similar(cmd.Context(), err, words[0], factoryLabels)
			}
			return p.answered(e, func() {
				p.sayEnrollment(e)
				if x := e.Certificate; x != nil && !x.NotAfter.IsZero() {
					p.say("%s", fmt.Sprint("    valid until ", p.when(x.NotAfter)))
				}
			})
		},
	}
}
