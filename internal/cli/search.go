package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) searchCommand() *cobra.Command {
	var q client.SearchQuery
	cmd := &cobra.Command{
		Use:   "search TEXT",
		Short: "Find certificates by name, serial, fingerprint, issuer and the like",
		Long: `Find certificates by part of a name, or by serial number, fingerprint, public key
hash (SPKI), a word of the issuer, subject or ARI id. Each hit tells which
certificate, order, account and targets it leads to.

Parts that begin at a label or after a hyphen come first (shop finds
www.my-shop.example.com); when there are none, letters from anywhere in a name.`,
		Example: `  certfleet search shop
  certfleet search shop --label tenant=acme
  certfleet search 04:a1:5f:03
  certfleet search "Let's Encrypt"`,
		Args: args(1, 1, "what to look for"),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			q.Q = words[0]
			hits, err := c.Search(cmd.Context(), q)
			return list(p, values(hits, err), 0, []string{"CERTIFICATE", "STATE", "MATCHED", "VALUE", "VERSION", "ORDER", "ACCOUNT", "TARGETS"}, hitRow)
		},
	}
	filtered(cmd, &q.Label)
	cmd.Flags().VarP((*howMany)(&q.Limit), "limit", "n", "how many at most (default 100)")
	return cmd
}

func hitRow(h client.Hit) []string {
	return []string{dash(h.Certificate), dash(h.State), h.Field, cut(h.Value, 50), ident(h.VersionID), ident(h.OrderID), account(h), strings.Join(h.Targets, ", ")}
}

func account(h client.Hit) string {
	if h.Account != "" {
		return h.Account
	}
	if h.AccountID != 0 {
		return fmt.Sprint(h.AccountID)
	}
	return "-"
}
