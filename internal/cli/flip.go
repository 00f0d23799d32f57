package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) flipCommand() *cobra.Command {
	var f client.Flips
	var all, yes bool
	var labels []string
	cmd := &cobra.Command{
		Use:   "flip LABEL...",
		Short: "Serve the backup certificate in place of the primary, or go back",
		Long: `Serve the backup that a policy keeps warm, from another CA and with a key of its
own, in place of the primary: the targets are delivered to at once. Both go on
being renewed. --back serves the primary again.

With --all it is done for all certificates from one issuer, or with some labels,
as when a CA is in trouble.`,
		Example: "  certfleet flip shop.example\n  certfleet flip shop.example --back\n  certfleet flip --all --issuer R12 --dry-run\n  certfleet flip --all --back --yes",
		Args:    args(0, -1, "the label of a certificate"), ValidArgsFunction: p.certificateArg(0),
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.Back, "back", false, "serve the primary again")
	flags.BoolVar(&all, "all", false, "flip all that --issuer and --label choose, or with --back all that are flipped")
	flags.StringVar(&f.Issuer, "issuer", "", "those whose version in use was issued by this common `NAME`")
	flags.StringArrayVar(&labels, "label", nil, "those that carry this `KEY=VALUE`; may be given several times")
	flags.BoolVar(&f.DryRun, "dry-run", false, "only say how many there are")
	flags.BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, words []string) (err error) {
		if all == (len(words) > 0) {
			return invalid("give labels, or --all with --issuer or --label", "it is not said what to flip")
		}
		if f.Labels, err = labelled(labels); err != nil {
			return err
		}
		if all {
			return p.flipAll(cmd.Context(), f, yes)
		}
		return oneOrMore(words, func(l string) error { return p.flip(cmd.Context(), l, f.Back) })
	}
	return cmd
}

func (p *program) flip(ctx context.Context, label string, back bool) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	got, err := c.FlipCertificate(ctx, label, back)
	if err != nil {
		return p.similar(ctx, err, label, certificateLabels)
	}
	return p.answered(got, func() {
		switch {
		case !got.Changed:
			p.say("%s: nothing to do", got.Label)
		case back:
			p.say("%s serves its primary again", got.Label)
		default:
			p.say("%s serves its backup", got.Label)
		}
	})
}

func (p *program) flipAll(ctx context.Context, f client.Flips, yes bool) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	if !f.DryRun {
		if err := p.confirm(ctx, yes, word(f.Back, "all that are flipped serve their primary again", "all that are chosen serve their backup from now on")); err != nil {
			return err
		}
	}
	got, err := c.FlipCertificates(ctx, f)
	if err != nil {
		return err
	}
	return p.answered(got, func() {
		p.say("%s %s, %d cannot", fmt.Sprint(got.Flipped), word(f.DryRun, "would be flipped", "are flipped"), got.Without)
	})
}
