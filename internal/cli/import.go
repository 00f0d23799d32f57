package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/app"
)

// withAdvice gives an error the advice that came along with it.
func withAdvice(err error, advice string) error {
	if advice == "" {
		return err
	}
	return &certfleet.Error{Msg: err.Error(), Advice: advice}
}

func (p *program) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Bring certificates along that came from elsewhere",
		Long:    "Bring certificates along with their keys, as PEM files, from a certbot folder or from\nthe database of peter_sslers. They are delivered and looked at, but not renewed until\nyou say so: with --manage, or later with certfleet resume.",
		Example: "  certfleet import pem fullchain.pem privkey.pem\n  certfleet import certbot /etc/letsencrypt --accounts\n  certfleet import peter_sslers ssl_minnow.sqlite --dry-run\n  certfleet accounts import --authority letsencrypt --key account.pem",
	}
	return p.group(cmd, nil, p.importPEM(), p.importCertbot(), p.importPeterSSLers())
}

func importFlags(p *program, cmd *cobra.Command, i *client.Import, labels *[]string) {
	f := cmd.Flags()
	f.StringVar(&i.Policy, "policy", "", "renew by the policy with this `LABEL` (default \"default\")")
	f.StringSliceVar(&i.Targets, "target", nil, "bring it to the target with this `LABEL`; may be given several times")
	f.StringArrayVar(labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	f.BoolVar(&i.Manage, "manage", false, "renew it from now on")
	cmd.RegisterFlagCompletionFunc("policy", p.offers(0, policyLabels))
	cmd.RegisterFlagCompletionFunc("target", p.offers(0, targetLabels))
}

func (p *program) importPEM() *cobra.Command {
	var i client.Import
	var labels []string
	cmd := &cobra.Command{
		Use: "pem FILE...", Short: "Import one certificate from PEM files", Long: "Import one certificate with its chain and private key, from one file or several, in\nany order. A key that does not fit is refused, as is what has expired or signed\nitself, unless --force says otherwise.",
		Example: "  certfleet import pem fullchain.pem privkey.pem --as shop\n  certfleet import pem bundle.pem --target edge1 --manage",
		Args:    args(1, -1, "PEM files"),
		RunE: func(cmd *cobra.Command, files []string) (err error) {
			if i.Labels, err = labelled(labels); err != nil {
				return err
			}
			var all bytes.Buffer
			for _, f := range files {
				b, err := p.input(f)
				if err != nil {
					return err
				}
				all.Write(b)
				all.WriteByte('\n')
			}
			i.PEM = all.String()
			return p.importOne(cmd.Context(), i)
		},
	}
	importFlags(p, cmd, &i, &labels)
	cmd.Flags().StringVar(&i.Label, "as", "", "call it `LABEL`, or add it to the certificate of that label (default its first name)")
	cmd.Flags().BoolVar(&i.Force, "force", false, "take it although it has expired or is self-signed")
	return cmd
}

func (p *program) importOne(ctx context.Context, i client.Import) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	got, err := c.ImportCertificate(ctx, i)
	if err != nil {
		return err
	}
	return p.answered(got, func() { p.sayImported(got) })
}

func (p *program) sayImported(got *client.Imported) {
	state := "it is renewed from now on"
	switch {
	case got.Certificate.External != "":
		state = got.Certificate.External + " goes on to renew it"
	case got.Certificate.State == "paused":
		state = "not renewed until: certfleet resume " + got.Certificate.Label
	}
	p.say("%s: version %d until %s%s; %s", got.Certificate.Label, got.Version.ID, p.day(got.Version.NotAfter), word(got.Known, " was here before", ""), state)
}

func (p *program) importCertbot() *cobra.Command {
	var i client.Import
	var labels []string
	var accounts bool
	cmd := &cobra.Command{
		Use: "certbot FOLDER", Short: "Import everything that certbot manages", Long: "Import each lineage of a certbot folder as a certificate, with its names, key type\nand challenge as renewal/*.conf says. They are paused, so that certbot and\ncertfleet do not both renew them: end certbot's timer, then resume them.",
		Example: "  certfleet import certbot /etc/letsencrypt --accounts\n  certfleet import certbot /etc/letsencrypt --manage --target edge1",
		Args:    args(1, 1, "certbot's folder"), ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if i.Labels, err = labelled(labels); err != nil {
				return err
			}
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			all := []error{p.lineages(cmd.Context(), c, words[0], i)}
			if accounts {
				all = append(all, p.certbotAccounts(cmd.Context(), c, words[0]))
			}
			return joined(present(all))
		},
	}
	importFlags(p, cmd, &i, &labels)
	cmd.Flags().BoolVar(&accounts, "accounts", false, "import certbot's accounts at the CAs too")
	return cmd
}

// present are the errors that are some.
func present(list []error) (out []error) {
	for _, err := range list {
		if err != nil {
			out = append(out, single(err)...)
		}
	}
	return out
}

func (p *program) lineages(ctx context.Context, c *client.Client, dir string, like client.Import) error {
	lineages, err := app.ReadCertbot(dir)
	if err != nil {
		return err
	}
	var all []error
	for _, l := range lineages {
		for _, problem := range l.Problems {
			p.note("note: %s: %s", l.Name, problem)
		}
		if !l.Whole() {
			all = append(all, withAdvice(fmt.Errorf("lineage %s was not imported: its certificate and key cannot be read", l.Name), "let this user read the folder, or ask for it anew with certfleet add"))
			continue
		}
		if err := p.lineage(ctx, c, l, like); err != nil {
			all = append(all, fmt.Errorf("lineage %s: %w", l.Name, err))
		}
	}
	return joined(all)
}

// lineage imports one; its key type is kept by a policy of its own where the
// policy it would follow says otherwise.
func (p *program) lineage(ctx context.Context, c *client.Client, l app.Lineage, i client.Import) error {
	i.Label, i.ChainPEM, i.KeyPEM = l.Name, string(l.ChainPEM), string(l.KeyPEM)
	i.Challenge = string(l.Challenge)
	policy, err := p.policyFor(ctx, c, orElse(i.Policy, "default"), l)
	if err != nil {
		return err
	}
	i.Policy = policy
	got, err := c.ImportCertificate(ctx, i)
	if err != nil {
		return err
	}
	return p.answered(got, func() { p.sayImported(got) })
}

// policyFor is the policy itself, or one like it for the lineage's key type.
func (p *program) policyFor(ctx context.Context, c *client.Client, label string, l app.Lineage) (string, error) {
	base, err := c.Policy(ctx, label)
	if err != nil {
		return "", err
	}
	if l.KeyType == "" || orElse(base.KeyType, "p256") == string(l.KeyType) && base.ReuseKey == l.ReuseKey {
		return label, nil
	}
	like := *base
	like.ID, like.KeyType, like.ReuseKey = 0, string(l.KeyType), l.ReuseKey
	like.Label = label + "-" + string(l.KeyType) + word(l.ReuseKey, "-reuse", "")
	if _, err := c.AddPolicy(ctx, like); err != nil && certfleet.KindOf(err) != certfleet.Conflict {
		return "", err
	}
	return like.Label, nil
}

func (p *program) certbotAccounts(ctx context.Context, c *client.Client, dir string) error {
	accounts, err := app.ReadCertbotAccounts(dir)
	if err != nil {
		return err
	}
	authorities, err := c.Authorities(ctx)
	if err != nil {
		return err
	}
	var all []error
	for _, a := range accounts {
		for _, problem := range a.Problems {
			p.note("note: account %s: %s", a.ID, problem)
		}
		if err := p.certbotAccount(ctx, c, a, authorities); err != nil {
			all = append(all, fmt.Errorf("account %s: %w", a.ID, err))
		}
	}
	return joined(all)
}

func (p *program) certbotAccount(ctx context.Context, c *client.Client, a app.CertbotAccount, authorities []client.Authority) error {
	if len(a.KeyPEM) == 0 {
		return withAdvice(fmt.Errorf("its key cannot be read"), "let this user read the folder")
	}
	at := ""
	for _, x := range authorities {
		if strings.TrimRight(x.DirectoryURL, "/") == strings.TrimRight(a.Server, "/") {
			at = x.Label
		}
	}
	if at == "" {
		return invalid("add it with certfleet authorities add LABEL --directory "+a.Server, "the CA at %s is not known here", a.Server)
	}
	got, err := c.AddAccount(ctx, client.NewAccount{Label: at + "-certbot-" + a.ID[:min(8, len(a.ID))], Authority: at, Contact: a.Contact, Agree: true, URL: a.URL, Key: string(a.KeyPEM)})
	if err != nil {
		return err
	}
	return p.answered(got, func() { p.say("account %s at %s", got.Label, got.Authority) })
}
