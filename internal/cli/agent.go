package cli

import (
	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/internal/agent"
)

// agentCommand is the agent's own program under another name, so that one
// binary on a host is enough.
func (p *program) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "agent [--config FILE] run|sync|check",
		Short: "Be the receiving side beside a service: SFTP in, updaters out",
		Long: `Receive certificates by SFTP, bring whole pairs to where services read them,
and tell the services. It is the program certfleet-agent, which is smaller;
both read the same configuration.`,
		Example:            "  certfleet agent check\n  certfleet agent --config /etc/certfleet/agent.yaml run",
		Args:               cobra.ArbitraryArgs,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			switch agent.Main(args, p.Out, p.Err) {
			case exitOK:
				return nil
			case exitInput:
				return &usageError{errSilent}
			}
			return errSilent
		},
	}
}
