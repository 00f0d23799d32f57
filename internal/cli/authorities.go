package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) authoritiesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "authorities",
		Short: "List the CAs, ask one what it offers, or add another",
		Long: `List the CAs that certificates may come from. Those that are marked unverified
come with certfleet, but were never run against by its makers. Without a
subcommand it is the same as authorities list.`,
		Example: "  certfleet authorities\n  certfleet authorities show letsencrypt\n  certfleet authorities add office --directory https://ca.office.example/acme/directory --trust office-ca.pem",
	}
	sub := &cobra.Command{Use: "list", Short: "List authorities", Long: cmd.Long, Example: "  certfleet authorities list --json", Args: none}
	var label, subLabel []string
	filtered(cmd, &label)
	filtered(sub, &subLabel)
	sub.RunE = func(cmd *cobra.Command, _ []string) error { return p.listAuthorities(cmd.Context(), subLabel) }
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listAuthorities(cmd.Context(), label) }, sub, p.showAuthority(), p.addAuthority())
}

func (p *program) listAuthorities(ctx context.Context, label []string) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	all, err := c.Authorities(ctx, label...)
	return list(p, values(all, err), 0, []string{"LABEL", "DIRECTORY", "BINDING", "TRIED", "NOTE"}, func(a client.Authority) []string {
		return []string{a.Label, a.DirectoryURL, word(a.EAB, "required", "-"), word(a.Unverified, "unverified", "yes"), cut(a.Note, 60)}
	})
}

func word(yes bool, is, isNot string) string {
	if yes {
		return is
	}
	return isNot
}

// authorityShown is an authority and what it says of itself.
type authorityShown struct {
	client.Authority
	Directory *client.Directory `json:"directory,omitempty"`
	Problem   string            `json:"problem,omitempty"`
}

func (p *program) showAuthority() *cobra.Command {
	return &cobra.Command{
		Use: "show LABEL", Short: "Show an authority, and ask it what it offers", Long: "Show an authority, and ask it now for its terms, profiles and abilities.", Example: "  certfleet authorities show letsencrypt-staging",
		Args: args(1, 1, "the label of an authority"), ValidArgsFunction: p.offers(1, authorityLabels),
		RunE: func(cmd *cobra.Command, words []string) error {
			ctx := cmd.Context()
			c, err := p.client(ctx)
			if err != nil {
				return err
			}
			a, err := c.Authority(ctx, words[0])
			if err != nil {
				return p.similar(ctx, err, words[0], authorityLabels)
			}
			s := authorityShown{Authority: *a}
			b := p.busy("asking %s", a.DirectoryURL)
			d, err := c.Directory(ctx, words[0])
			b.end()
			if s.Directory = d; err != nil {
				s.Problem = err.Error()
			}
			return p.answered(s, func() { p.sayAuthority(&s) })
		},
	}
}

func (p *program) sayAuthority(s *authorityShown) {
	f := p.fields().add("authority", s.Label).add("directory", s.DirectoryURL).add("note", s.Note).add("tried", word(s.Unverified, "never, by the makers of certfleet", "")).
		add("binding", word(s.EAB, "required (EAB)", "")).add("trusts", word(s.TrustPEM != "", "a bundle of its own", "")).add("labels", labelText(s.Labels)).add("problem", s.Problem)
	if d := s.Directory; d != nil {
		var profiles []string
		for _, k := range sorted(d.Profiles) {
			profiles = append(profiles, fmt.Sprintf("%s: %s", k, d.Profiles[k]))
		}
		f.add("terms", d.TermsOfService).add("website", d.Website).add("CAA", strings.Join(d.CAAIdentities, ", ")).
			add("profiles", strings.Join(profiles, "\n")).add("tells when to renew", word(d.RenewalInfo, "yes", "no"))
	}
	f.flush()
}

func (p *program) addAuthority() *cobra.Command {
	var a client.Authority
	var trust string
	var change bool
	var labels []string
	cmd := &cobra.Command{
		Use: "add LABEL", Short: "Add a CA, or change one", Long: "Add a CA by the URL of its ACME directory. One with a private root needs --trust.",
		Example: "  certfleet authorities add office --directory https://ca.office.example/acme/directory --trust office-ca.pem",
		Args:    args(1, 1, "a label"),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			a.Label = words[0]
			if a.Labels, err = labelled(labels); err != nil {
				return err
			}
			if trust != "" {
				pem, err := readFile(trust)
				if err != nil {
					return err
				}
				a.TrustPEM = string(pem)
			}
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			var got *client.Authority
			if change {
				got, err = c.PutAuthority(cmd.Context(), a.Label, a)
			} else {
				got, err = c.AddAuthority(cmd.Context(), a)
			}
			if err != nil {
				return err
			}
			return p.answered(got, func() {
				p.say("authority %s is there; an account at it: certfleet accounts new --authority %s", got.Label, got.Label)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.DirectoryURL, "directory", "", "the `URL` of its ACME directory")
	f.StringVar(&trust, "trust", "", "a `FILE` of PEM certificates to trust for its API, instead of the system's")
	f.BoolVar(&a.EAB, "eab", false, "it requires external account binding")
	f.StringVar(&a.Note, "note", "", "a `TEXT` for people")
	f.StringArrayVar(&labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	f.BoolVar(&change, "update", false, "change the one that has this label already")
	cmd.MarkFlagFilename("trust", "pem", "crt")
	return cmd
}
