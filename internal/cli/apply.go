package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/config"
)

func (p *program) applyCommand() *cobra.Command {
	var file string
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the fleet as a file declares it",
		Long: `Make authorities, accounts, policies, targets and certificates as a YAML or JSON
file declares them, all of it or nothing. What the file does not name stays as it
is; a certificate goes only when its state is given as removed. Applying the same
again changes nothing.

  policies:
    - label: default
      authorities: [letsencrypt]
  targets:
    - label: edge1
      type: files
      spec: {dir: /etc/tls, layout: certbot}
      probe: ["192.0.2.7:443"]
  certificates:
    - names: [shop.example, www.shop.example]
      targets: [edge1]`,
		Example: "  certfleet apply -f fleet.yaml --dry-run\n  certfleet apply -f fleet.yaml\n  generate-fleet | certfleet apply -f -",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return &usageError{invalid("write -f and a file, or -f - for the standard input", "it is not said what to apply")}
			}
			return p.apply(cmd.Context(), file, dry)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the `FILE`, - for the standard input")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would change")
	cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	return cmd
}

func (p *program) apply(ctx context.Context, file string, dry bool) error {
	text, err := p.input(file)
	if err != nil {
		return err
	}
	var f client.Fleet
	section, err := config.NewSection(file, "", text)
	if err != nil {
		return err
	}
	if err := section.Decode(&f); err != nil {
		return err
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	b := p.busy("applying %s", file)
	got, err := c.Apply(ctx, f, dry)
	b.end()
	if err != nil {
		return err
	}
	return p.answered(got, func() { p.sayApplied(got) })
}

// input reads a file, or the standard input when its name is -.
func (p *program) input(file string) ([]byte, error) {
	if file != "-" {
		return readFile(file)
	}
	b, err := io.ReadAll(io.LimitReader(p.In, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = invalid("send less", "the standard input is larger than %d bytes", maxInput)
	}
	return b, err
}

var signs = map[string]struct{ sign, color string }{"create": {"+", green}, "update": {"~", yellow}, "remove": {"-", red}}

func (p *program) sayApplied(a *client.Applied) {
	for _, ch := range a.Changes {
		s := signs[ch.Action]
		p.say("%s %s %s", p.paint(s.color, s.sign), ch.Kind, ch.Label)
		for _, f := range ch.Fields {
			switch {
			case f.From == "":
				p.say("    %s: %s", f.Field, f.To)
			default:
				p.say("    %s: %s -> %s", f.Field, f.From, dash(f.To))
			}
		}
	}
	if a.DryRun {
		p.say("%d would change, %d are as declared", len(a.Changes), a.Same)
		return
	}
	p.say("%d changed, %d were as declared", len(a.Changes), a.Same)
}
