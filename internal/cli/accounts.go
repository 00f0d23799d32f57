package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/app"
)

func (p *program) accountsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "Look after our accounts at the CAs",
		Long: `List our accounts at the CAs, make new ones, bring one along with its key, and
change them at the CA. Without a subcommand it is the same as accounts list.`,
		Example: `  certfleet accounts new --authority letsencrypt --contact tls@example.com --agree
  certfleet accounts rollover letsencrypt
  certfleet accounts import --authority letsencrypt --key account-key.pem`,
	}
	sub := &cobra.Command{Use: "list", Short: "List accounts", Long: "List our accounts and how each stands.", Example: "  certfleet accounts list --json", Args: none}
	var label, subLabel []string
	filtered(cmd, &label)
	filtered(sub, &subLabel)
	sub.RunE = func(cmd *cobra.Command, _ []string) error { return p.listAccounts(cmd.Context(), subLabel) }
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listAccounts(cmd.Context(), label) }, sub, p.showAccount(), p.setAccount(), p.newAccount(), p.importAccount(),
		p.registerAccount(), p.checkAccount(), p.agreeAccount(), p.contactAccount(), p.rolloverAccount(), p.deactivateAccount())
}

func (p *program) listAccounts(ctx context.Context, label []string) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	all, err := c.Accounts(ctx, label...)
	return list(p, values(all, err), 0, []string{"LABEL", "STATE", "AUTHORITY", "CONTACT", "AGREED", "PROBLEM"}, func(a client.Account) []string {
		return []string{a.Label, a.State, a.Authority, few(a.Contact, 2), p.day(a.AgreedAt), cut(a.Problem, 60)}
	})
}

func (p *program) sayAccount(a *client.Account) {
	p.fields().add("account", fmt.Sprintf("%s (id %d)", a.Label, a.ID)).add("state", a.State).add("authority", a.Authority).add("contact", strings.Join(a.Contact, "\n")).
		add("url", a.URL).add("agreed to terms", p.when(a.AgreedAt)).add("binding", a.EABKeyID).add("labels", labelText(a.Labels)).add("key", ident(a.KeyID)).add("its orders", accountDefaults(a.Defaults)).
		add("rollover", word(a.RollingKey, "begun, not yet seen done", "")).add("problem", a.Problem).add("made", p.when(a.CreatedAt)).flush()
}

func accountDefaults(d *client.AccountDefaults) string {
	if d == nil {
		return ""
	}
	return strings.Join(strings.Fields(d.KeyCycle+" "+d.KeyType+" "+d.Profile), ", ")
}

// onAccount is a command that does one thing to one account.
func (p *program) onAccount(cmd *cobra.Command, asking string, do func(context.Context, *client.Client, string) (*client.Account, error)) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = args(1, 1, "the label of an account"), p.offers(1, accountLabels)
	cmd.Use += " LABEL"
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		b := p.busy("%s", asking)
		a, err := do(cmd.Context(), c, words[0])
		b.end()
		if err != nil {
			return p.similar(cmd.Context(), err, words[0], accountLabels)
		}
		return p.answered(a, func() { p.sayAccount(a) })
	}
	return cmd
}

func (p *program) showAccount() *cobra.Command {
	return p.onAccount(&cobra.Command{Use: "show", Short: "Show an account", Long: "Show an account as it is recorded here.", Example: "  certfleet accounts show letsencrypt"}, "reading",
		func(ctx context.Context, c *client.Client, l string) (*client.Account, error) {
			return c.Account(ctx, l)
		})
}

func (p *program) registerAccount() *cobra.Command {
	return p.onAccount(&cobra.Command{Use: "register", Short: "Register an account now", Long: "Register an account that is only wanted yet. The first order would do so too.", Example: "  certfleet accounts register letsencrypt"}, "registering at the CA",
		func(ctx context.Context, c *client.Client, l string) (*client.Account, error) {
			return c.RegisterAccount(ctx, l)
		})
}

func (p *program) agreeAccount() *cobra.Command {
	return p.onAccount(&cobra.Command{Use: "agree", Short: "Agree to the CA's terms", Long: "Agree to the terms of the account's CA; see certfleet authorities show for where\nthey are.", Example: "  certfleet accounts agree letsencrypt"}, "telling the CA",
		func(ctx context.Context, c *client.Client, l string) (*client.Account, error) {
			return c.AgreeAccount(ctx, l)
		})
}

func (p *program) contactAccount() *cobra.Command {
	var contact []string
	cmd := p.onAccount(&cobra.Command{Use: "contact", Short: "Change whom the CA may write to", Long: "Change the addresses that the CA may write to; without --contact there are none.", Example: "  certfleet accounts contact letsencrypt --contact tls@example.com"}, "telling the CA",
		func(ctx context.Context, c *client.Client, l string) (*client.Account, error) {
			return c.ContactAccount(ctx, l, contact)
		})
	cmd.Flags().StringSliceVar(&contact, "contact", nil, "an email `ADDRESS`; may be given several times")
	return cmd
}

func (p *program) rolloverAccount() *cobra.Command {
	var r client.Rollover
	cmd := p.onAccount(&cobra.Command{Use: "rollover", Short: "Give an account a new key", Long: "Give an account a new key (RFC 8555 section 7.3.5). When it is interrupted, the\nnext use of the account finds out which key the CA knows.", Example: "  certfleet accounts rollover letsencrypt --key-type p384"}, "changing the key at the CA",
		func(ctx context.Context, c *client.Client, l string) (*client.Account, error) {
			return c.RolloverAccount(ctx, l, r)
		})
	cmd.Flags().StringVar(&r.KeyType, "key-type", "", "p256, p384, rsa2048, rsa3072 or rsa4096 (default p256)")
	return cmd
}

func (p *program) deactivateAccount() *cobra.Command {
	var yes bool
	cmd := p.onAccount(&cobra.Command{Use: "deactivate", Short: "Give an account up for good", Long: "Give an account up for good (RFC 8555 section 7.3.6). It can never be used again;\ncertificates it got stay valid.", Example: "  certfleet accounts deactivate old --yes"}, "telling the CA",
		func(ctx context.Context, c *client.Client, l string) (*client.Account, error) {
			if err := p.confirm(ctx, yes, "account "+l+" can never be used again"); err != nil {
				return nil, err
			}
			return c.DeactivateAccount(ctx, l)
		})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (p *program) newAccount() *cobra.Command {
	var n client.NewAccount
	var hmac string
	var labels []string
	cmd := &cobra.Command{
		Use: "new", Short: "Make an account at a CA and register it", Long: "Make an account at a CA and register it. Its label is the authority's unless --as\nsays otherwise. Some CAs want an external account binding (EAB), which they hand\nout on their website.",
		Example: "  certfleet accounts new --authority letsencrypt --contact tls@example.com --agree\n  certfleet accounts new --authority google --eab-kid abc123 --eab-hmac file:/etc/certfleet/eab.key --agree",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if hmac != "" {
				secret, err := app.OpenReference(hmac)
				if err != nil {
					return err
				}
				n.EABHMACKey = strings.TrimSpace(string(secret))
			}
			return p.makeAccount(cmd.Context(), n, labels)
		},
	}
	f := cmd.Flags()
	accountFlags(p, cmd, &n, &labels)
	f.BoolVar(&n.Agree, "agree", false, "the CA's terms are agreed to")
	f.StringVar(&n.EABKeyID, "eab-kid", "", "the key `ID` of the external account binding")
	f.StringVar(&hmac, "eab-hmac", "", "where its HMAC key is, file:PATH or env:NAME")
	f.BoolVar(&n.Later, "later", false, "let the first order register it")
	return cmd
}

func accountFlags(p *program, cmd *cobra.Command, n *client.NewAccount, labels *[]string) {
	f := cmd.Flags()
	f.StringVar(&n.Authority, "authority", "", "the `LABEL` of the CA")
	f.StringVar(&n.Label, "as", "", "call it `LABEL` (default the authority's)")
	f.StringSliceVar(&n.Contact, "contact", nil, "an email `ADDRESS` the CA may write to; may be given several times")
	f.StringArrayVar(labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	cmd.RegisterFlagCompletionFunc("authority", p.offers(0, authorityLabels))
}

func (p *program) importAccount() *cobra.Command {
	var n client.NewAccount
	var key string
	var labels []string
	cmd := &cobra.Command{
		Use: "import", Short: "Bring an account along with its key", Long: "Bring an account along that exists at a CA, by its private key in PEM or JWK form,\nor by certbot's folder of it. Nothing is registered: a key that the CA does not know\nis refused. All accounts of certbot come with certfleet import certbot --accounts.",
		Example: "  certfleet accounts import --authority letsencrypt --key account-key.pem\n  certfleet accounts import --authority letsencrypt --key /etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/0123abcd",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if key == "" {
				return &usageError{invalid("write --key and a file", "an account is imported by its private key")}
			}
			if err := bringKey(&n, key); err != nil {
				return err
			}
			return p.makeAccount(cmd.Context(), n, labels)
		},
	}
	accountFlags(p, cmd, &n, &labels)
	cmd.Flags().StringVar(&key, "key", "", "a `FILE` with its private key, in PEM or JWK form, or certbot's folder of the account")
	cmd.Flags().StringVar(&n.URL, "account-url", "", "its `URL` at the CA (default the CA is asked)")
	cmd.MarkFlagFilename("key")
	return cmd
}

// bringKey reads the key of an account that exists, and what certbot's folder of
// it says beside.
func bringKey(n *client.NewAccount, path string) error {
	n.Agree = true // whoever made the account agreed
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		text, err := readFile(path)
		n.Key = string(text)
		return err
	}
	a, err := app.ReadCertbotAccount(path)
	if err != nil {
		return err
	}
	n.Key, n.URL = string(a.KeyPEM), orElse(n.URL, a.URL)
	if len(n.Contact) == 0 {
		n.Contact = a.Contact
	}
	return nil
}

func (p *program) makeAccount(ctx context.Context, n client.NewAccount, labels []string) (err error) {
	if n.Labels, err = labelled(labels); err != nil {
		return err
	}
	if n.Authority == "" {
		return &usageError{invalid("write --authority and the label of a CA; see certfleet authorities", "it is not said at which CA")}
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	b := p.busy("asking the CA")
	a, err := c.AddAccount(ctx, n)
	b.end()
	if err != nil {
		return p.similar(ctx, err, n.Authority, authorityLabels)
	}
	return p.answered(a, func() { p.sayAccount(a) })
}
