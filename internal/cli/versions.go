package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

var versionHeader = []string{"ID", "STATE", "NAMES", "SERIAL", "ISSUER", "UNTIL", "KEY", "FINGERPRINT"}

func (p *program) versionRow(v client.Version) []string {
	return []string{fmt.Sprint(v.ID), p.versionState(&v, 0), few(v.Names, 1), short(v.Serial), v.Issuer, p.day(v.NotAfter), keyID(v.KeyID), short(v.Fingerprint)}
}

func (p *program) versionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "versions",
		Short:   "List what was issued or imported",
		Long:    "List versions, newest first: each is one chain that was issued or imported.\nWithout a subcommand it is the same as versions list.",
		Example: "  certfleet versions --certificate shop.example\n  certfleet versions show 12\n  certfleet versions chain 12 > chain.pem",
	}
	query, limit := p.versionFlags(cmd)
	sub := &cobra.Command{Use: "list", Short: "List versions, newest first", Long: cmd.Long, Example: "  certfleet versions list --key 7", Args: none}
	subQuery, subLimit := p.versionFlags(sub)
	sub.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.listVersions(cmd.Context(), *subQuery, *subLimit)
	}
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listVersions(cmd.Context(), *query, *limit) }, sub,
		p.versionWith("show", "Show a version, its chains and its renewal window", "Show a version by its id or fingerprint: serial, issuer, validity, the chains that\nthe CA offers, and when the CA wants it renewed (RFC 9773).", p.sayVersion),
		p.lookupsCommand(), p.askWindow(),
		p.versionWith("chain", "Print a version's chain in PEM form", "Print the chain in use in PEM form, leaf first. There is no private key in it; for\nthat see certfleet export.", func(v *client.VersionStory) { fmt.Fprint(p.Out, v.ChainPEM) }))
}

func (p *program) versionFlags(cmd *cobra.Command) (*client.VersionQuery, *int) {
	var q client.VersionQuery
	cmd.Flags().StringVar(&q.Certificate, "certificate", "", "only those of the certificate with this `LABEL`")
	cmd.Flags().Int64Var(&q.Key, "key", 0, "only those that use the key with this `ID`")
	cmd.Flags().BoolVar(&q.Past, "past", false, "only those that were replaced or revoked")
	cmd.Flags().BoolVar(&q.Unexpired, "unexpired", false, "only those that have not expired")
	cmd.RegisterFlagCompletionFunc("certificate", p.certificateArg(0))
	filtered(cmd, &q.Label)
	return &q, limited(cmd)
}

func (p *program) listVersions(ctx context.Context, q client.VersionQuery, limit int) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	return list(p, c.Versions(ctx, q), limit, versionHeader, p.versionRow)
}

func (p *program) versionWith(verb, what, long string, say func(*client.VersionStory)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID", Short: what, Long: long, Example: "  certfleet versions " + verb + " 12", Args: args(1, 1, "the id of a version"),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			v, err := c.Version(cmd.Context(), words[0])
			if err != nil {
				return err
			}
			return p.answered(v, func() { say(v) })
		},
	}
}

func (p *program) sayVersion(v *client.VersionStory) {
	window := ""
	if !v.ARIStart.IsZero() {
		window = p.when(v.ARIStart) + " to " + p.when(v.ARIEnd)
	}
	p.fields().add("version", fmt.Sprint(v.ID)).add("state", p.versionState(&v.Version, 0)).add("names", strings.Join(v.Names, "\n")).
		add("issuer", v.Issuer).add("subject", v.Subject).add("serial", v.Serial).add("fingerprint", v.Fingerprint).add("SPKI", v.SPKI).
		add("valid from", p.when(v.NotBefore)).add("valid until", p.when(v.NotAfter)).add("revoked", p.when(v.RevokedAt)).
		add("profile", v.Profile).add("key", keyID(v.KeyID)).add("order", ident(v.OrderID)).add("replaced by", version(v.ReplacedBy)).
		add("renewal window", window).add("drawn instant", p.when(v.ARIAt)).add("the CA explains", v.ARIURL).add("asked again", p.when(v.ARIPollAt)).
		add("problem", v.ARIProblem).add("ARI id", v.ARIID).flush()
	if len(v.Chains) > 0 {
		p.title("Chains")
		p.printAll([]string{"POSITION", "TOPMOST ISSUER"}, rows(v.Chains, func(c client.Chain) []string {
			return []string{fmt.Sprint(c.Position), c.Issuer}
		}))
	}
}
