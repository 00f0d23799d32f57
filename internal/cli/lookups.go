package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// lookupsCommand shows which edges were given a version.
func (p *program) lookupsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lookups ID", Short: "Show which edges were given a version with its key",
		Long:    "Show which edges looked a version up and were given it with its key: one line an\nedge and hour, newest first.",
		Example: "  certfleet versions lookups 12", Args: args(1, 1, "the id of a version"),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			rows, err := c.Lookups(cmd.Context(), words[0])
			if err != nil {
				return err
			}
			return p.answered(rows, func() {
				t := p.table("HOUR", "EDGE", "TIMES")
				for _, r := range rows {
					t.row(p.when(r.Hour), r.Edge, fmt.Sprint(r.Count))
				}
				t.flush()
			})
		},
	}
}
