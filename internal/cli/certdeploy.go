package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/internal/certdeploy"
)

// certdeployServerCommand is certdeploy's server under a name of ours; the binary
// is the same program when it is called certdeploy-server.
func (p *program) certdeployServerCommand() *cobra.Command {
	return p.foreign("certdeploy-server", "Be certdeploy's server: push what certbot renewed, without a manager",
		"  certfleet certdeploy-server --push --lineage /etc/letsencrypt/live/shop.example --domains \"shop.example www.shop.example\"\n  certfleet certdeploy-server --daemon", certdeploy.ServerMain)
}

// foreign is a program with options of its own, as a command.
func (p *program) foreign(name, short, example string, main func([]string, io.Writer, io.Writer) int) *cobra.Command {
	return &cobra.Command{
		Use:                name + " [OPTIONS]",
		Short:              short,
		Example:            example,
		Args:               cobra.ArbitraryArgs,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			switch main(args, p.Out, p.Err) {
			case exitOK:
				return nil
			case exitInput:
				return &usageError{errSilent}
			}
			return errSilent
		},
	}
}
