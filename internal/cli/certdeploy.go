package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/internal/certdeploy"
)

// certdeployServerCommand is certdeploy's server; the binary is the same program
// when it is called certdeploy-server.
func (p *program) certdeployServerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certdeploy-server [OPTIONS]",
		Short: "Be certdeploy's server: push what certbot renewed",
		Long: `Push what certbot renewed to other machines, as certdeploy's server does: as
certbot's deploy hook, as a daemon that also runs certbot, or once. It needs no
manager. The binary is this program too when it is called certdeploy-server.`,
		Example: "  certfleet certdeploy-server --daemon\n  certfleet certdeploy-server --push --lineage /etc/letsencrypt/live/shop.example --domains shop.example",
	}
	return p.foreign(cmd, certdeploy.ServerFlags(), certdeploy.ServerMain)
}

// certdeployClientCommand is certdeploy's client; the binary is the same program
// when it is called certdeploy-client.
func (p *program) certdeployClientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certdeploy-client [OPTIONS]",
		Short: "Be certdeploy's client: take certificates in, tell services",
		Long: `Bring certificates that certdeploy's server pushed to where services read them,
and tell the services, as certdeploy's client does: once, or as a daemon with an
SFTP server of its own. The binary is this program too when it is called
certdeploy-client.`,
		Example: "  certfleet certdeploy-client\n  certfleet certdeploy-client --daemon --log-level INFO",
	}
	return p.foreign(cmd, certdeploy.ClientFlags(), certdeploy.ClientMain)
}

// foreign makes a command of a program that reads its options itself.
func (p *program) foreign(cmd *cobra.Command, flags []certdeploy.Flag, main func([]string, io.Writer, io.Writer) int) *cobra.Command {
	cmd.Args, cmd.DisableFlagParsing = cobra.ArbitraryArgs, true
	for _, f := range flags { // for completion; they are not read here
		if f.Text {
			cmd.Flags().String(f.Name, "", f.Usage)
		} else {
			cmd.Flags().Bool(f.Name, false, f.Usage)
		}
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		switch main(args, p.Out, p.Err) {
		case exitOK:
			return nil
		case exitInput:
			return &usageError{errSilent}
		}
		return errSilent
	}
	return cmd
}
