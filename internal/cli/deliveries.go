package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

// deliveryHeader is for the deliveries of one certificate; a list of all names
// the certificate too, in column certificateColumn.
var deliveryHeader = []string{"ID", "STATE", "TARGET", "VERSION", "SEEN SERVED", "NEXT LOOK", "PROBLEM"}

const certificateColumn = 2

func (p *program) deliveryRow(d client.Delivery) []string {
	next := "-"
	if !d.DueAt.IsZero() {
		next = relative(d.DueAt, p.now())
	}
	return []string{fmt.Sprint(d.ID), d.State, d.Target, fmt.Sprint(d.VersionID), p.day(d.ServedAt), next, cut(d.Problem, 60)}
}

func (p *program) deliveriesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deliveries",
		Short:   "List what was brought where, and whether it is served",
		Long:    "List deliveries, newest first: each is one version on its way to one target. A\ndelivery is done when a handshake showed it. Without a subcommand it is the same\nas deliveries list.",
		Example: "  certfleet deliveries --state open\n  certfleet deliveries show 9\n  certfleet deliveries --target edges --json",
	}
	query, limit := p.deliveryFlags(cmd)
	sub := &cobra.Command{Use: "list", Short: "List deliveries, newest first", Long: cmd.Long, Example: "  certfleet deliveries list --certificate shop.example", Args: none}
	subQuery, subLimit := p.deliveryFlags(sub)
	sub.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.listDeliveries(cmd.Context(), *subQuery, *subLimit)
	}
	show := &cobra.Command{
		Use: "show ID", Short: "Show a delivery and what was seen of it", Long: "Show a delivery, and for each name and address what a probe saw there last.", Example: "  certfleet deliveries show 9", Args: args(1, 1, "the id of a delivery"),
		RunE: func(cmd *cobra.Command, words []string) error { return p.showDelivery(cmd.Context(), words[0]) },
	}
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listDeliveries(cmd.Context(), *query, *limit) }, sub, show)
}

func (p *program) deliveryFlags(cmd *cobra.Command) (*client.DeliveryQuery, *int) {
	var q client.DeliveryQuery
	f := cmd.Flags()
	f.StringVar(&q.State, "state", "", "only those in this `STATE`: due, sent, applied, served, failed, superseded, or open")
	f.StringVar(&q.Certificate, "certificate", "", "only those of the certificate with this `LABEL`")
	f.StringVar(&q.Target, "target", "", "only those to the target with this `LABEL`")
	f.Int64Var(&q.Version, "version", 0, "only those of the version with this `ID`")
	flagWords(cmd, "state", "due", "sent", "applied", "served", "failed", "superseded", "open")
	cmd.RegisterFlagCompletionFunc("certificate", p.certificateArg(0))
	cmd.RegisterFlagCompletionFunc("target", p.offers(0, targetLabels))
	filtered(cmd, &q.Label)
	return &q, limited(cmd)
}

func (p *program) listDeliveries(ctx context.Context, q client.DeliveryQuery, limit int) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	return list(p, c.Deliveries(ctx, q), limit, slices.Insert(slices.Clone(deliveryHeader), certificateColumn, "CERTIFICATE"), func(d client.Delivery) []string {
		return slices.Insert(p.deliveryRow(d), certificateColumn, dash(d.Certificate))
	})
}

func (p *program) showDelivery(ctx context.Context, word string) error {
	id, err := number("a delivery", word)
	if err != nil {
		return err
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	d, err := c.Delivery(ctx, id)
	if err != nil {
		return err
	}
	return p.answered(d, func() {
		p.fields().add("delivery", fmt.Sprint(d.ID)).add("state", d.State).add("certificate", d.Certificate).add("version", fmt.Sprint(d.VersionID)).add("target", d.Target).
			add("problem", d.Problem).add("advice", d.Advice).add("handed over", p.when(d.SentAt)).add("applied", p.when(d.AppliedAt)).
			add("seen served", p.when(d.ServedAt)).add("next look", p.when(d.DueAt)).add("tries", fmt.Sprint(d.Attempts)).flush()
		if len(d.Sightings) > 0 {
			p.title("Seen")
			p.printAll([]string{"NAME", "ADDRESS", "FINGERPRINT", "AT", "PROBLEM"}, rows(d.Sightings, func(s client.Sighting) []string {
				return []string{s.Name, s.Address, short(s.Fingerprint), p.when(s.At), cut(s.Problem, 70)}
			}))
		}
	})
}
