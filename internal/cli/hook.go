package cli

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// lineageEnv is where certbot tells its deploy hooks which lineage it renewed.
const lineageEnv = "RENEWED_LINEAGE"

func (p *program) hookCommand() *cobra.Command {
	var i client.Import
	var labels []string
	cmd := &cobra.Command{
		Use: "hook", Short: "Be certbot's deploy hook: import what it renewed, and deliver",
		Long: `Import the lineage that certbot has just renewed, named by RENEWED_LINEAGE, and have
it delivered to its targets. certbot stays the issuer: the certificate is marked
external here, and is not renewed until certfleet resume makes it ours. One that is
ours already stays ours, and it ends with 1. Repeating it is harmless. When the
manager cannot be reached it ends with 3 and says how to repeat it; certbot's own
files are not touched.`,
		Example: "  certbot renew --deploy-hook 'certfleet hook --target edge1'\n  RENEWED_LINEAGE=/etc/letsencrypt/live/shop.example certfleet hook --target edge1",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if i.Labels, err = labelled(labels); err != nil {
				return err
			}
			return p.hook(cmd.Context(), os.Getenv(lineageEnv), i)
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.Policy, "policy", "", "follow the policy with this `LABEL` (default \"default\")")
	f.StringSliceVar(&i.Targets, "target", nil, "bring it to the target with this `LABEL`; may be given several times")
	f.StringArrayVar(&labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	return cmd
}

func (p *program) hook(ctx context.Context, lineage string, i client.Import) error {
	if !filepath.IsAbs(lineage) {
		return invalid("let certbot run it as --deploy-hook, or set "+lineageEnv+" to a folder such as /etc/letsencrypt/live/shop.example", "%s does not name a lineage's folder", lineageEnv)
	}
	chain, err := readFile(filepath.Join(lineage, "fullchain.pem"))
	if err != nil {
		return err
	}
	key, err := readFile(filepath.Join(lineage, "privkey.pem"))
	if err != nil {
		return err
	}
	i.Label, i.ChainPEM, i.KeyPEM, i.External = filepath.Base(lineage), string(chain), string(key), certfleet.ExternalCertbot
	if err = p.asBefore(ctx, &i); err == nil {
		err = p.importHooked(ctx, i)
	}
	if certfleet.KindOf(err) == certfleet.Unreachable {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: "lineage " + i.Label + " was not imported", Advice: "start the manager, then run " + lineageEnv + "=" + lineage + " certfleet hook again", Err: err}
	}
	return err
}

// asBefore keeps what the certificate has already and no flag says otherwise.
func (p *program) asBefore(ctx context.Context, i *client.Import) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	is, err := c.Certificate(ctx, i.Label)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if len(i.Targets) == 0 {
		i.Targets = is.Targets
	}
	if len(i.Labels) == 0 {
		i.Labels = is.Labels
	}
	i.Policy = orElse(i.Policy, is.Policy)
	return nil
}

// importHooked imports; what was here before gets the targets all the same.
func (p *program) importHooked(ctx context.Context, i client.Import) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	got, err := c.ImportCertificate(ctx, i)
	if err != nil {
		return err
	}
	if got.Known && len(i.Targets) > 0 {
		if _, err := c.ChangeCertificate(ctx, got.Certificate.Label, client.CertificateChange{Targets: &i.Targets}); err != nil {
			return err
		}
	}
	return p.answered(got, func() { p.sayImported(got) })
}
