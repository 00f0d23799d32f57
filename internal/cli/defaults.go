package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) defaultPolicy() *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use: "default [PURPOSE [LABEL]]", Short: "Say which policy counts where none is named",
		Long: `Say which policy counts where none is named, by purpose: global is what factories
and system_configuration_default mean, autocert is for orders on demand,
certificate-if-needed for the older system's call of that name. Without any the
policy called default counts. Without a label it shows what is set.`,
		Example: "  certfleet policies default\n  certfleet policies default autocert short-lived\n  certfleet policies default autocert --none",
		Args:    args(0, 2, "a purpose, and the label of a policy"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if none && len(words) != 1 {
				return invalid("give a purpose alone with --none", "it is not clear what to set")
			}
			return p.defaults(cmd.Context(), words, none)
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "let the policy called default count again")
	return cmd
}

func (p *program) defaults(ctx context.Context, words []string, none bool) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	var got *client.Defaults
	switch {
	case len(words) == 2:
		got, err = c.SetDefault(ctx, words[0], words[1])
	case none && len(words) == 1:
		got, err = c.SetDefault(ctx, words[0], "")
	default:
		got, err = c.Defaults(ctx)
	}
	if err != nil {
		return err
	}
	return p.answered(got, func() {
		for _, d := range got.Defaults {
			p.say("%-22s %s", d.Purpose, orElse(d.Policy, "- (the policy called default)"))
		}
	})
}

func (p *program) setAccount() *cobra.Command {
	var cycle, key, profile string
	var cmd *cobra.Command
	cmd = p.onAccount(&cobra.Command{Use: "set", Short: "Say what an account's orders are like", Long: "Say what an account's orders are like where their policy leaves it to the account:\nby key cycle account_default, by no key type, by profile @. What is not given\nstays; an empty value says nothing any more.",
		Example: "  certfleet accounts set letsencrypt --key-cycle account_weekly --profile shortlived\n  certfleet accounts set letsencrypt --profile ''"}, "writing",
		func(ctx context.Context, c *client.Client, l string) (*client.Account, error) {
			var ch client.AccountChange
			for name, f := range map[string]struct {
				value string
				into  **string
			}{"key-cycle": {cycle, &ch.KeyCycle}, "key-type": {key, &ch.KeyType}, "profile": {profile, &ch.Profile}} {
				if cmd.Flags().Changed(name) {
					*f.into = &f.value
				}
			}
			return c.ChangeAccount(ctx, l, ch)
		})
	f := cmd.Flags()
	f.StringVar(&cycle, "key-cycle", "", "what account_default means, as a `CYCLE`")
	f.StringVar(&key, "key-type", "", "the key type of policies that name none")
	f.StringVar(&profile, "profile", "", "what the profile @ means: a CA's certificate `PROFILE`")
	flagWords(cmd, "key-cycle", keyCycles...)
	flagWords(cmd, "key-type", "p256", "p384", "rsa2048", "rsa3072", "rsa4096")
	return cmd
}
