package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) policiesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policies",
		Short:   "Say how certificates are got",
		Long:    "Policies say how certificates are got: from which CA, with which key, challenge\nand profile. A certificate without one follows the policy called default.\nWithout a subcommand it is the same as policies list.",
		Example: "  certfleet policies\n  certfleet policies set short-lived --authority letsencrypt --profile shortlived\n  certfleet policies show default",
	}
	sub := &cobra.Command{Use: "list", Short: "List policies", Long: "List policies and what each says.", Example: "  certfleet policies list --json", Args: none}
	var label, subLabel []string
	filtered(cmd, &label)
	filtered(sub, &subLabel)
	sub.RunE = func(cmd *cobra.Command, _ []string) error { return p.listPolicies(cmd.Context(), subLabel) }
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listPolicies(cmd.Context(), label) }, sub, p.showPolicy(), p.setPolicy(), p.defaultPolicy())
}

func (p *program) listPolicies(ctx context.Context, label []string) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	all, err := c.Policies(ctx, label...)
	return list(p, values(all, err), 0, []string{"LABEL", "AUTHORITIES", "KEY", "CHALLENGE", "SOLVER", "PROFILE", "CHAIN"}, func(x client.Policy) []string {
		return []string{x.Label, strings.Join(x.Authorities, ","), orElse(x.KeyType, "p256"), orElse(x.Challenge, "http-01"), x.Solver, x.Profile, x.ChainIssuer}
	})
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (p *program) sayPolicy(x *client.Policy) {
	p.fields().add("policy", x.Label).add("authorities", strings.Join(x.Authorities, ", ")).add("profile", x.Profile).add("key type", orElse(x.KeyType, "p256")).
		add("keeps its key", word(x.ReuseKey, "yes", "")).add("key cycle", x.KeyCycle).add("challenge", orElse(x.Challenge, "http-01, dns-01 for wildcards")).add("solver", x.Solver).
		add("backup", backupWords(x.Backup)).add("chain", x.ChainIssuer).add("lifetime", x.Validity).add("labels", labelText(x.Labels)).flush()
}

func backupWords(b *client.Backup) string {
	if b == nil {
		return ""
	}
	return strings.Join(strings.Fields(b.Authority+" "+b.Profile+" "+b.KeyType+" "+b.KeyCycle), ", ")
}

// keyCycles are the words for how long a key is kept and who shares it.
var keyCycles = []string{"single_use", "single_use__reuse_1_year", "account_daily", "account_weekly", "global_daily", "global_weekly", "account_default", "system_configuration_default"}

func (p *program) showPolicy() *cobra.Command {
	return &cobra.Command{
		Use: "show LABEL", Short: "Show a policy", Long: "Show what a policy says.", Example: "  certfleet policies show default", Args: args(1, 1, "the label of a policy"), ValidArgsFunction: p.offers(1, policyLabels),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			x, err := c.Policy(cmd.Context(), words[0])
			if err != nil {
				return p.similar(cmd.Context(), err, words[0], policyLabels)
			}
			return p.answered(x, func() { p.sayPolicy(x) })
		},
	}
}

func (p *program) setPolicy() *cobra.Command {
	var x client.Policy
	var backup client.Backup
	var labels []string
	cmd := &cobra.Command{
		Use: "set LABEL", Aliases: []string{"add"}, Short: "Make a policy, or replace what it says", Long: "Make a policy, or replace what it says: what is not given goes back to its default.\nThe next order of each of its certificates follows it.",
		Example: "  certfleet policies set default --authority letsencrypt\n  certfleet policies set wild --authority letsencrypt --challenge dns-01 --solver office\n  certfleet policies set big-keys --authority letsencrypt --key-type rsa4096",
		Args:    args(1, 1, "a label"), ValidArgsFunction: p.offers(1, policyLabels),
	}
	f := cmd.Flags()
	f.StringSliceVar(&x.Authorities, "authority", nil, "get certificates from the CA with this `LABEL`; the first is used first")
	f.StringVar(&x.Profile, "profile", "", "the CA's certificate `PROFILE` (default the CA's own)")
	f.StringVar(&x.KeyType, "key-type", "", "p256, p384, rsa2048, rsa3072 or rsa4096 (default p256)")
	f.BoolVar(&x.ReuseKey, "reuse-key", false, "keep the key of the version before")
	f.StringVar(&x.KeyCycle, "key-cycle", "", "how long a key is kept and who shares it, as a `CYCLE` (default single_use)")
	f.StringVar(&x.Challenge, "challenge", "", "http-01, dns-01 or tls-alpn-01 (default http-01, dns-01 for wildcards)")
	f.StringVar(&x.Solver, "solver", "", "the `LABEL` of the solver for dns-01")
	f.StringVar(&x.ChainIssuer, "chain", "", "prefer the chain whose topmost issuer has this common `NAME`")
	f.StringVar(&backup.Authority, "backup-authority", "", "keep a second certificate warm, from the CA with this `LABEL`")
	f.StringVar(&backup.Profile, "backup-profile", "", "that CA's certificate `PROFILE`")
	f.StringVar(&backup.KeyType, "backup-key-type", "", "the backup's key type (default p256)")
	f.StringVar(&backup.KeyCycle, "backup-key-cycle", "", "the backup's key `CYCLE` (default single_use)")
	f.StringVar(&x.Validity, "lifetime", "", "ask for this lifetime where the CA allows it, such as 7d")
	f.StringArrayVar(&labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	flagWords(cmd, "key-type", "p256", "p384", "rsa2048", "rsa3072", "rsa4096")
	flagWords(cmd, "key-cycle", keyCycles...)
	flagWords(cmd, "challenge", "http-01", "dns-01", "tls-alpn-01")
	cmd.RegisterFlagCompletionFunc("authority", p.offers(0, authorityLabels))
	cmd.RunE = func(cmd *cobra.Command, words []string) (err error) {
		x.Label = words[0]
		if backup != (client.Backup{}) {
			x.Backup = &backup
		}
		if x.Labels, err = labelled(labels); err != nil {
			return err
		}
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		got, err := c.PutPolicy(cmd.Context(), x.Label, x)
		if err != nil {
			return err
		}
		return p.answered(got, func() { p.sayPolicy(got) })
	}
	return cmd
}
