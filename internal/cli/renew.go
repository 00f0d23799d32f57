package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) renewCommand() *cobra.Command {
	var r client.Renewal
	var wait waiting
	cmd := &cobra.Command{
		Use:   "renew LABEL...",
		Short: "Get a new version now",
		Long: `Get a new version of a certificate now, whatever its due time. What is in use
stays in use until the new one is there.`,
		Example: `  certfleet renew shop.example --wait
  certfleet renew shop.example --emergency   before everything else`,
		Args: args(1, -1, "the label of a certificate"), ValidArgsFunction: p.certificateArg(0),
		RunE: func(cmd *cobra.Command, labels []string) error {
			if err := wait.check(p); err != nil {
				return err
			}
			return oneOrMore(labels, func(l string) error { return p.renew(cmd.Context(), l, r, wait) })
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.Emergency, "emergency", false, "go before everything else: revoked, or a key is compromised")
	f.BoolVar(&r.Force, "force", false, "also when it is paused; it is resumed by this")
	f.BoolVar(&r.Manual, "manual", false, "open an order that advances by request only")
	wait.flags(cmd)
	return cmd
}

func (p *program) renew(ctx context.Context, label string, r client.Renewal, wait waiting) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	before, err := c.Certificate(ctx, label)
	if err != nil {
		return p.similar(ctx, err, label, certificateLabels)
	}
	got, err := c.RenewCertificate(ctx, label, r)
	if err != nil {
		return err
	}
	if wait.on {
		return p.wait(ctx, c, got, before.VersionID, wait)
	}
	return p.answered(got, func() {
		p.say("%s is to be renewed", got.Label)
		p.sayNext(got)
	})
}

// act is a command that does one thing to each of several certificates.
func (p *program) act(cmd *cobra.Command, done string, do func(context.Context, *client.Client, string) (*client.CertificateAnswer, error)) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = args(1, -1, "the label of a certificate"), p.certificateArg(0)
	cmd.RunE = func(cmd *cobra.Command, labels []string) error {
		return oneOrMore(labels, func(label string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			got, err := do(cmd.Context(), c, label)
			if err != nil {
				return p.similar(cmd.Context(), err, label, certificateLabels)
			}
			return p.answered(got, func() { p.say(done, got.Label) })
		})
	}
	return cmd
}

func (p *program) pauseCommand() *cobra.Command {
	return p.act(&cobra.Command{
		Use:     "pause LABEL...",
		Short:   "Order nothing for a certificate until it is resumed",
		Long:    "Order nothing for a certificate until it is resumed. What is issued stays where\nit is, and expires when it expires.",
		Example: "  certfleet pause shop.example",
	}, "%s is paused", func(ctx context.Context, c *client.Client, l string) (*client.CertificateAnswer, error) {
		return c.PauseCertificate(ctx, l)
	})
}

func (p *program) resumeCommand() *cobra.Command {
	return p.act(&cobra.Command{
		Use:     "resume LABEL...",
		Short:   "End a pause",
		Long:    "End a pause, also one that an import began with. What is due is ordered at once.",
		Example: "  certfleet resume shop.example\n  certfleet list --state paused --json | jq -r .label | xargs certfleet resume",
	}, "%s is active again", func(ctx context.Context, c *client.Client, l string) (*client.CertificateAnswer, error) {
		return c.ResumeCertificate(ctx, l)
	})
}

func (p *program) removeCommand() *cobra.Command {
	var yes bool
	cmd := p.act(&cobra.Command{
		Use:   "remove LABEL...",
		Short: "Look after a certificate no longer",
		Long: `Look after a certificate no longer. Nothing is ordered or delivered for it any
more; what is on its targets stays there, and its versions and events stay on
record. To end a certificate's validity, revoke it first.`,
		Example: "  certfleet remove old.example --yes",
	}, "%s is removed", func(ctx context.Context, c *client.Client, l string) (*client.CertificateAnswer, error) {
		if err := p.confirm(ctx, yes, fmt.Sprintf("%s is looked after no longer", l)); err != nil {
			return nil, err
		}
		return c.RemoveCertificate(ctx, l)
	})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// reasons are the words for RFC 5280 section 5.3.1 that a subscriber may use.
var reasons = map[string]int{"unspecified": 0, "key-compromise": 1, "affiliation-changed": 3, "superseded": 4, "cessation": 5}

func (p *program) revokeCommand() *cobra.Command {
	var reason string
	var version int64
	var yes, compromised bool
	var by string
	var wait waiting
	cmd := &cobra.Command{
		Use:   "revoke LABEL",
		Short: "Revoke a certificate at its CA",
		Long: `Revoke the version in use, or another one, at its CA. A new one is ordered at
once, before everything else, unless the certificate is paused or removed.

A reason is unspecified, key-compromise, affiliation-changed, superseded or
cessation. A key that is compromised is never used again.

With --key-compromised the private key of that version is known to others: every
certificate with it is replaced with a new key first, and then all that the key
signed for is revoked; with --revoke-by all that is left at that moment.`,
		Example: `  certfleet revoke shop.example --reason key-compromise
  certfleet revoke shop.example --version 12 --reason superseded --yes`,
		Args: args(1, 1, "the label of a certificate"), ValidArgsFunction: p.certificateArg(1),
		RunE: func(cmd *cobra.Command, labels []string) error {
			if compromised {
				return p.compromised(cmd.Context(), labels[0], version, by, yes, wait)
			}
			if by != "" {
				return invalid("add --key-compromised, or leave --revoke-by out", "a single version is revoked at once")
			}
			n, ok := reasons[reason]
			if !ok {
				return invalid("use one of unspecified, key-compromise, affiliation-changed, superseded, cessation", "reason %q is not known", reason)
			}
			return p.revoke(cmd.Context(), labels[0], version, n, yes)
		},
	}
	f := cmd.Flags()
	f.StringVar(&reason, "reason", "unspecified", "why, in a `WORD`")
	f.BoolVar(&compromised, "key-compromised", false, "replace and revoke all that has the same key")
	f.StringVar(&by, "revoke-by", "", "with --key-compromised: revoke all that are left at this `TIME`, or so long from now")
	wait.flags(cmd)
	f.Int64Var(&version, "version", 0, "the `ID` of another version than the one in use")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	flagWords(cmd, "reason", sorted(reasons)...)
	return cmd
}

func (p *program) revoke(ctx context.Context, label string, version int64, reason int, yes bool) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	cert, err := c.Certificate(ctx, label)
	if err != nil {
		return p.similar(ctx, err, label, certificateLabels)
	}
	if version == 0 {
		version = cert.VersionID
	}
	if version == 0 {
		return invalid("see certfleet show "+cert.Label, "%s has no version that could be revoked", cert.Label)
	}
	if err := p.confirm(ctx, yes, fmt.Sprintf("version %d of %s becomes invalid for good", version, cert.Label)); err != nil {
		return err
	}
	b := p.busy("asking the CA to revoke version %d", version)
	v, err := c.RevokeVersion(ctx, fmt.Sprint(version), client.Revocation{Reason: reason})
	b.end()
	if err != nil {
		return err
	}
	return p.answered(v, func() { p.say("version %d of %s (serial %s) is revoked", v.ID, cert.Label, v.Serial) })
}

func (p *program) compromised(ctx context.Context, label string, version int64, by string, yes bool, wait waiting) error {
	if err := wait.check(p); err != nil {
		return err
	}
	at, err := p.moment(by)
	if err != nil {
		return err
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	cert, err := c.Certificate(ctx, label)
	if err != nil {
		return p.similar(ctx, err, label, certificateLabels)
	}
	if version == 0 {
		version = cert.VersionID
	}
	v, err := c.Version(ctx, fmt.Sprint(version))
	if err != nil {
		return err
	}
	if v.KeyID == 0 {
		return invalid("revoke it with --reason key-compromise", "the key of version %d is not here", v.ID)
	}
	if err := p.confirm(ctx, yes, fmt.Sprintf("all certificates with key %d get a new one, and the old ones are revoked%s", v.KeyID, p.deadline(&client.Replacement{RevokeBy: at}))); err != nil {
		return err
	}
	r, err := c.CompromiseKey(ctx, fmt.Sprint(v.KeyID), at)
	if err != nil {
		return err
	}
	return p.replaced(ctx, c, r, wait.on, time.Duration(wait.max.d))
}
