package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// toSync are the orders that the CA is asked about.
type toSync struct {
	ids     []int64
	account string
	all     bool
}

func (p *program) syncCommand() *cobra.Command {
	var s toSync
	cmd := &cobra.Command{
		Use:   "sync [ID...]",
		Short: "Ask CAs now how orders and their authorizations stand",
		Long: `Ask CAs now how one, some or all live orders and their authorizations stand, and
record the answers. Nothing is taken further by it.`,
		Example: `  certfleet sync 41 42
  certfleet sync --account letsencrypt
  certfleet sync --all --json`,
		Args: args(0, -1, "ids of orders"), ValidArgsFunction: p.offers(0, orderIDs),
		RunE: func(cmd *cobra.Command, words []string) error {
			for _, w := range words {
				id, err := number("an order", w)
				if err != nil {
					return err
				}
				s.ids = append(s.ids, id)
			}
			return p.sync(cmd.Context(), s)
		},
	}
	cmd.Flags().StringVar(&s.account, "account", "", "all live ones of the account with this `LABEL`")
	cmd.Flags().BoolVar(&s.all, "all", false, "all live ones there are")
	cmd.RegisterFlagCompletionFunc("account", p.offers(0, accountLabels))
	return cmd
}

// sync asks about each order; one that cannot be asked about stops no other.
func (p *program) sync(ctx context.Context, s toSync) error {
	if len(s.ids) == 0 && s.account == "" && !s.all {
		return &usageError{invalid("give ids, --account or --all", "it is not said which orders to ask about")}
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	if len(s.ids) == 0 {
		if s.ids, err = liveOrders(ctx, c, s.account); err != nil {
			return p.similar(ctx, err, s.account, accountLabels)
		}
	}
	b := p.busy("asking about %d orders", len(s.ids))
	var asked []client.OrderStory
	var failed []error
	for _, id := range s.ids {
		o, err := c.SyncOrder(ctx, id)
		switch {
		case err == nil:
			asked = append(asked, *o)
		case ctx.Err() != nil:
			b.end()
			return ctx.Err()
		default:
			failed = append(failed, fmt.Errorf("order %d: %w", id, err))
		}
	}
	b.end()
	row := func(o client.OrderStory) []string { return p.orderRow(o.Order) }
	return joined(append(present([]error{list(p, values(asked, nil), 0, orderHeader, row)}), failed...))
}

// liveOrders are the orders that a CA knows and that may still issue.
func liveOrders(ctx context.Context, c *client.Client, account string) ([]int64, error) {
	var ids []int64
	for o, err := range c.Orders(ctx, client.OrderQuery{State: "live", Account: account}) {
		if err != nil {
			return nil, err
		}
		if o.State == string(certfleet.OrderOpen) {
			ids = append(ids, o.ID)
		}
	}
	return ids, nil
}
