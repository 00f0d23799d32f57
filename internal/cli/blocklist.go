package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) blocklistCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "blocklist",
		Short: "Say what is never to be ordered",
		Long: `Names, registered domains and suffixes on the blocklist are never ordered:
adding them is refused, and certificates that want them already order nothing
more. Without a subcommand it is the same as blocklist list.`,
		Example: "  certfleet blocklist add name login.shop.example\n  certfleet blocklist add domain never.example --note 'asked by legal'\n  certfleet blocklist add suffix corp.example.org",
	}
	sub := &cobra.Command{Use: "list", Short: "List the blocklist", Long: "List what is never to be ordered.", Example: "  certfleet blocklist list --json", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.listBlocked(cmd.Context()) }}
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listBlocked(cmd.Context()) }, sub, p.blockCommand(), p.unblockCommand())
}

func (p *program) listBlocked(ctx context.Context) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	all, err := c.Blocklist(ctx)
	return list(p, values(all, err), 0, []string{"KIND", "PATTERN", "NOTE", "BY", "SINCE"}, func(x client.Blocked) []string {
		return []string{x.Kind, x.Pattern, dash(x.Note), dash(x.Actor), p.when(x.CreatedAt)}
	})
}

func (p *program) blockCommand() *cobra.Command {
	var b client.Blocked
	cmd := &cobra.Command{
		Use: "add KIND PATTERN", Short: "Forbid a name, a domain or a suffix", Long: "Forbid a name itself, a registered domain with all below it (domain), or\nanything else with all below it (suffix).",
		Example: "  certfleet blocklist add name login.shop.example", Args: args(2, 2, "name, domain or suffix, and what is forbidden"),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			b.Kind, b.Pattern = words[0], words[1]
			got, err := c.Block(cmd.Context(), b)
			if err != nil {
				return err
			}
			return p.answered(got, func() { p.say("%s %s is never ordered from now on", got.Kind, got.Pattern) })
		},
	}
	cmd.Flags().StringVar(&b.Note, "note", "", "why")
	return cmd
}

func (p *program) unblockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove KIND PATTERN", Short: "Allow it again", Long: "Take an entry off the blocklist.",
		Example: "  certfleet blocklist remove name login.shop.example", Args: args(2, 2, "name, domain or suffix, and what is allowed again"),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.Unblock(cmd.Context(), words[0], words[1]); err != nil {
				return err
			}
			return p.answered(client.Blocked{Kind: words[0], Pattern: words[1]}, func() { p.say("%s %s is allowed again", words[0], words[1]) })
		},
	}
}
