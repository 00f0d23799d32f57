package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (p *program) versionCommand() *cobra.Command {
	var server bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say which release this is",
		Long:    "Say which release this program is, and with --server which one the manager runs.",
		Example: "  certfleet version\n  certfleet version --server --json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := &api.Release{Release: certfleet.Release, Go: runtime.Version()}
			if server {
				c, err := p.client(cmd.Context())
				if err != nil {
					return err
				}
				if r, err = c.Release(cmd.Context()); err != nil {
					return err
				}
			}
			if p.flags.json {
				return p.json(r)
			}
			p.say("certfleet %s (%s)", r.Release, r.Go)
			if server {
				p.fields().add("database", r.Database).add("started", p.when(r.StartedAt)).flush()
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&server, "server", false, "ask the manager")
	return cmd
}
