package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) probeCommand() *cobra.Command {
	var r client.ProbeRequest
	cmd := &cobra.Command{
		Use:   "probe [NAME...]",
		Short: "Look at what names serve right now",
		Long: `Make a TLS handshake with each name and say what it serves: whether it is ours,
fits the name, and is trusted. Addresses that are private are looked at only
where the manager's configuration allows it.`,
		Example: `  certfleet probe www.shop.example
  certfleet probe www.shop.example --at 192.0.2.7:443 --at '[2001:db8::7]:443'
  certfleet probe --certificate shop.example`,
		Args: args(0, -1, "host names"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 && r.Certificate == "" {
				return &usageError{invalid("write names, or --certificate and a label", "it is not said what to look at")}
			}
			r.Names = names
			return p.probe(cmd.Context(), r)
		},
	}
	cmd.Flags().StringArrayVar(&r.Addresses, "at", nil, "look there, `HOST:PORT`; may be given several times (default the name itself, port 443)")
	cmd.Flags().StringVar(&r.Certificate, "certificate", "", "all names of the certificate with this `LABEL`, at its targets")
	cmd.RegisterFlagCompletionFunc("certificate", p.certificateArg(0))
	return cmd
}

func (p *program) probe(ctx context.Context, r client.ProbeRequest) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	b := p.busy("looking")
	looks, err := c.Probe(ctx, r)
	b.end()
	if err != nil {
		return err
	}
	if err := list(p, values(looks, nil), 0, []string{"NAME", "ADDRESS", "STATE", "SERIAL", "ISSUER", "UNTIL", "TRUSTED", "PROBLEM"}, p.lookRow); err != nil {
		return err
	}
	for _, l := range looks {
		if lookState(l) != "ok" && lookState(l) != "ours" {
			return errSilent // the table has said it
		}
	}
	return nil
}

func (p *program) lookRow(l client.Look) []string {
	trusted := "yes"
	if !l.Trusted {
		trusted = "no"
	}
	if l.Fingerprint == "" {
		trusted = "-"
	}
	problem := l.Problem
	if problem == "" {
		problem = l.Distrust
	}
	return []string{l.Name, l.Address, lookState(l), short(l.Serial), l.Issuer, p.day(l.NotAfter), trusted, cut(problem, 80)}
}

// lookState is what a handshake showed, in a word.
func lookState(l client.Look) string {
	switch {
	case l.Fingerprint == "":
		return "fail"
	case l.Wanted:
		return "ok"
	case !l.Matches:
		return "invalid"
	case l.VersionID != 0:
		return "replaced"
	}
	return "foreign"
}
