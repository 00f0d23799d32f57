package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

var keyHeader = []string{"ID", "USE", "TYPE", "CUSTODY", "STORY", "SPKI", "MADE"}

func (p *program) keyRow(k client.Key) []string {
	return []string{fmt.Sprint(k.ID), k.Use, k.Type, k.Custody, keyStory(&k), short(k.SPKI), p.day(k.CreatedAt)}
}

// keyStory says how a key came and what became of it.
func keyStory(k *client.Key) string {
	out := []string{k.Type, k.Origin}
	if k.OrderID != 0 {
		out = append(out, fmt.Sprintf("for order %d", k.OrderID))
	}
	if k.ReplacesKeyID != 0 {
		out = append(out, fmt.Sprintf("in place of key %d", k.ReplacesKeyID))
	}
	if !k.CompromisedAt.IsZero() {
		out = append(out, "compromised")
	}
	return strings.Join(out, " ")
}

func (p *program) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "List keys, how they came and who opened them",
		Long:    "List private keys by their public side: how each came, for which order, and which\nkey it replaced. Nothing is opened for this; without a subcommand it is the same\nas keys list.",
		Example: "  certfleet keys --certificate shop.example\n  certfleet keys show 7",
	}
	query, limit := p.keyFlags(cmd)
	sub := &cobra.Command{Use: "list", Short: "List keys", Long: cmd.Long, Example: "  certfleet keys list --use account --json", Args: none}
	subQuery, subLimit := p.keyFlags(sub)
	sub.RunE = func(cmd *cobra.Command, _ []string) error { return p.listKeys(cmd.Context(), *subQuery, *subLimit) }
	show := &cobra.Command{
		Use: "show ID", Short: "Show a key, the versions that use it, and who opened it", Long: "Show a key by its id or SPKI: which versions use it, and who opened it, how often\nand why, by the hour.",
		Example: "  certfleet keys show 7", Args: args(1, 1, "the id of a key"),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			k, err := c.Key(cmd.Context(), words[0])
			if err != nil {
				return err
			}
			return p.answered(k, func() { p.sayKey(k) })
		},
	}
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listKeys(cmd.Context(), *query, *limit) }, sub, show)
}

func (p *program) keyFlags(cmd *cobra.Command) (*client.KeyQuery, *int) {
	var q client.KeyQuery
	cmd.Flags().StringVar(&q.Use, "use", "", "only those for this `USE`: certificate or account")
	cmd.Flags().StringVar(&q.Certificate, "certificate", "", "only those of the certificate with this `LABEL`")
	flagWords(cmd, "use", "certificate", "account")
	cmd.RegisterFlagCompletionFunc("certificate", p.certificateArg(0))
	filtered(cmd, &q.Label)
	return &q, limited(cmd)
}

func (p *program) listKeys(ctx context.Context, q client.KeyQuery, limit int) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	return list(p, c.Keys(ctx, q), limit, keyHeader, p.keyRow)
}

func (p *program) sayKey(k *client.Key) {
	var versions []string
	for _, v := range k.Versions {
		versions = append(versions, fmt.Sprint(v))
	}
	p.fields().add("key", fmt.Sprint(k.ID)).add("use", k.Use).add("type", k.Type).add("custody", k.Custody).add("origin", k.Origin).
		add("made for order", ident(k.OrderID)).add("in place of key", ident(k.ReplacesKeyID)).add("compromised", p.when(k.CompromisedAt)).
		add("SPKI", k.SPKI).add("made", p.when(k.CreatedAt)).add("versions", strings.Join(versions, ", ")).flush()
	if len(k.Openings) > 0 {
		p.title("Opened by")
		p.printAll([]string{"HOUR", "WHO", "WHY", "TIMES"}, rows(k.Openings, func(o client.KeyOpening) []string {
			return []string{p.when(o.Hour), o.Actor, o.Reason, fmt.Sprint(o.N)}
		}))
	}
}
