package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

func (p *program) factoriesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "factories",
		Short: "Say how customers' domains become certificates",
		Long: `Enrollment factories make certificates of customers' domains, all after one
pattern: templates say which names, and whether http-01 or dns-01 proves them.
{DOMAIN} stands for the domain, {NIAMOD} for it with its labels reversed. See
certfleet onboard for how they are used. Without a subcommand it is the same as
factories list.`,
		Example: "  certfleet factories set web-hosting --http01 '{DOMAIN},www.{DOMAIN}' --target edges\n  certfleet factories set wild --dns01 '{DOMAIN},*.{DOMAIN}' --solver office\n  certfleet factories show web-hosting",
	}
	sub := &cobra.Command{Use: "list", Short: "List factories", Long: "List enrollment factories and their templates.", Example: "  certfleet factories list --json", Args: none}
	var label, subLabel []string
	filtered(cmd, &label)
	filtered(sub, &subLabel)
	sub.RunE = func(cmd *cobra.Command, _ []string) error { return p.listFactories(cmd.Context(), subLabel) }
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listFactories(cmd.Context(), label) }, sub, p.showFactory(), p.writeFactory(false), p.writeFactory(true), p.removeFactory())
}

func (p *program) listFactories(ctx context.Context, label []string) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	all, err := c.Factories(ctx, label...)
	return list(p, values(all, err), 0, []string{"LABEL", "POLICY", "HTTP-01", "DNS-01", "TARGETS", "NOTE"}, func(f client.Factory) []string {
		return []string{f.Label, dash(f.Policy), dash(few(f.HTTP01, 3)), dash(few(f.DNS01, 3)), dash(few(f.Targets, 3)), dash(cut(f.Note, 40))}
	})
}

func (p *program) sayFactory(f *client.Factory) {
	p.fields().add("factory", f.Label).add("policy", orElse(f.Policy, "the default for global")).add("http-01", strings.Join(f.HTTP01, ", ")).add("dns-01", strings.Join(f.DNS01, ", ")).
		add("solver", f.Solver).add("certificate", orElse(f.LabelTemplate, certfleet.DefaultLabelTemplate)).add("targets", strings.Join(f.Targets, ", ")).
		add("puts labels", labelText(f.CertificateLabels)).add("duplicates", orElse(f.Duplicates, string(certfleet.NoDuplicates))).add("note", f.Note).add("labels", labelText(f.Labels)).flush()
}

func factoryLabels(ctx context.Context, c *client.Client, _ string) []string {
	return first(values(c.Factories(ctx)), func(f client.Factory) string { return f.Label })
}

func (p *program) showFactory() *cobra.Command {
	return &cobra.Command{
		Use: "show LABEL", Short: "Show a factory", Long: "Show what an enrollment factory says.", Example: "  certfleet factories show web-hosting", Args: args(1, 1, "the label of a factory"), ValidArgsFunction: p.offers(1, factoryLabels),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			f, err := c.Factory(cmd.Context(), words[0])
			if err != nil {
				return p.similar(cmd.Context(), err, words[0], factoryLabels)
			}
			return p.answered(f, func() { p.sayFactory(f) })
		},
	}
}

// writeFactory is set, or add, which refuses to change one that is there.
func (p *program) writeFactory(add bool) *cobra.Command {
	var f client.Factory
	var http, dns string
	var labels, puts []string
	cmd := &cobra.Command{
		Use: "set LABEL", Short: "Make a factory, or replace what it says", Long: "Make an enrollment factory, or replace what it says: what is not given goes back\nto its default. Certificates that it made stay as they are.",
		Example: "  certfleet factories set web-hosting --http01 '{DOMAIN},www.{DOMAIN}' --target edges\n  certfleet factories set both --http01 '{DOMAIN}' --dns01 '{DOMAIN},*.{DOMAIN}' --duplicates http_01__dns_01",
		Args:    args(1, 1, "a label"), ValidArgsFunction: p.offers(1, factoryLabels),
	}
	if add {
		cmd.Use, cmd.Short, cmd.Long = "add LABEL", "Make a factory", "Make an enrollment factory. One that has the label already is not changed."
		cmd.Example = "  certfleet factories add web-hosting --http01 '{DOMAIN},www.{DOMAIN}' --policy customers"
	}
	fl := cmd.Flags()
	fl.StringVar(&f.Policy, "policy", "", "how certificates are got, by the `LABEL` of a policy (default the one for global)")
	fl.StringVar(&http, "http01", "", "`TEMPLATES` of names that are proved by http-01, separated by commas")
	fl.StringVar(&dns, "dns01", "", "`TEMPLATES` of names that are proved by dns-01, separated by commas")
	fl.StringVar(&f.Solver, "solver", "", "the `LABEL` of the solver for dns-01")
	fl.StringVar(&f.LabelTemplate, "as", "", "`TEMPLATE` of a certificate's label (default {NIAMOD})")
	fl.StringSliceVar(&f.Targets, "target", nil, "bring certificates to the target with this `LABEL`; may be given several times")
	fl.StringArrayVar(&puts, "put-label", nil, "put `KEY=VALUE` on each certificate; may be given several times")
	fl.StringVar(&f.Duplicates, "duplicates", "", "what a name in both templates means, as a `STRATEGY` (default no_duplicates)")
	fl.StringVar(&f.Note, "note", "", "what it is for")
	fl.StringArrayVar(&labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	flagWords(cmd, "duplicates", "no_duplicates", "http_01__dns_01", "dns_01__http_01")
	cmd.RegisterFlagCompletionFunc("policy", p.offers(0, policyLabels))
	cmd.RegisterFlagCompletionFunc("target", p.offers(0, targetLabels))
	cmd.RunE = func(cmd *cobra.Command, words []string) (err error) {
		f.Label, f.HTTP01, f.DNS01 = words[0], certfleet.ParseTemplates(http), certfleet.ParseTemplates(dns)
		if f.Labels, err = labelled(labels); err != nil {
			return err
		}
		if f.CertificateLabels, err = labelled(puts); err != nil {
			return err
		}
		return p.saveFactory(cmd.Context(), f, add)
	}
	return cmd
}

func (p *program) saveFactory(ctx context.Context, f client.Factory, add bool) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	got := &f
	if add {
		got, err = c.AddFactory(ctx, f)
	} else {
		got, err = c.PutFactory(ctx, f.Label, f)
	}
	if err != nil {
		return err
	}
	return p.answered(got, func() { p.sayFactory(got) })
}

func (p *program) removeFactory() *cobra.Command {
	return &cobra.Command{
		Use: "remove LABEL", Short: "Remove a factory", Long: "Remove an enrollment factory. The certificates that it made stay.", Example: "  certfleet factories remove web-hosting",
		Args: args(1, 1, "the label of a factory"), ValidArgsFunction: p.offers(1, factoryLabels),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.RemoveFactory(cmd.Context(), words[0]); err != nil {
				return p.similar(cmd.Context(), err, words[0], factoryLabels)
			}
			return p.answered(map[string]string{"removed": words[0]}, func() { p.say("factory %s is removed; what it made stays", words[0]) })
		},
	}
}
