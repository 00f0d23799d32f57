package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

var orderHeader = []string{"ID", "STATE", "CERTIFICATE", "CA SAYS", "NEXT", "OPENED", "PROBLEM"}

func (p *program) orderRow(o client.Order) []string {
	next := "-"
	switch {
	case o.State == "failed" || o.State == "issued":
	case o.Manual:
		next = "by request"
	case !o.DueAt.IsZero():
		next = relative(o.DueAt, p.now())
	}
	return []string{fmt.Sprint(o.ID), o.State, few(o.Names, 1), dash(o.CAStatus), next, p.day(o.CreatedAt), cut(o.Problem, 60)}
}

func (p *program) ordersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "orders",
		Short: "List orders, look into one, or take it further",
		Long: `List orders, newest first; without a subcommand it is the same as orders list.
Each exchange with the CA is kept on its order for a while: see orders show.`,
		Example: `  certfleet orders --state live
  certfleet orders show 41
  certfleet orders step 41`,
	}
	query, all := p.orderFlags(cmd)
	sub := &cobra.Command{Use: "list", Short: "List orders, newest first", Long: cmd.Long, Example: "  certfleet orders list --state failed\n  certfleet orders list --certificate shop.example --json", Args: none}
	subQuery, subAll := p.orderFlags(sub)
	sub.RunE = func(cmd *cobra.Command, _ []string) error { return p.listOrders(cmd.Context(), *subQuery, *subAll) }
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listOrders(cmd.Context(), *query, *all) }, sub,
		p.orderCommand("show", "Show an order and everything that was said with the CA", "Show an order with its authorizations and challenges, and every exchange with\nthe CA, without secrets.", (*client.Client).Order),
		p.orderCommand("step", "Do the next step of an order now", "Do the next step of an order now and say how it stands. This is how an order that\nwas opened with --manual advances; others need it only from the impatient.", (*client.Client).StepOrder),
		p.orderCommand("sync", "Ask the CA how an order stands, and record it", "Ask the CA now how an order and its authorizations stand, and record the answer.\nThe order itself is not taken further.", (*client.Client).SyncOrder))
}

func (p *program) orderFlags(cmd *cobra.Command) (*client.OrderQuery, *int) {
	var q client.OrderQuery
	f := cmd.Flags()
	f.StringVar(&q.State, "state", "", "only those in this `STATE`: wanted, open, issued, failed, or live (also pending)")
	f.StringVar(&q.Certificate, "certificate", "", "only those of the certificate with this `LABEL`")
	f.StringVar(&q.Account, "account", "", "only those of the account with this `LABEL`")
	flagWords(cmd, "state", "wanted", "open", "issued", "failed", "live", "pending")
	cmd.RegisterFlagCompletionFunc("certificate", p.certificateArg(0))
	cmd.RegisterFlagCompletionFunc("account", p.offers(0, accountLabels))
	filtered(cmd, &q.Label)
	return &q, limited(cmd)
}

func (p *program) listOrders(ctx context.Context, q client.OrderQuery, limit int) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	return list(p, c.Orders(ctx, q), limit, orderHeader, p.orderRow)
}

func (p *program) orderCommand(verb, what, long string, do func(*client.Client, context.Context, int64) (*client.OrderStory, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID", Short: what, Long: long, Example: "  certfleet orders " + verb + " 41",
		Args: args(1, 1, "the id of an order"), ValidArgsFunction: p.offers(1, orderIDs),
		RunE: func(cmd *cobra.Command, words []string) error {
			id, err := number("an order", words[0])
			if err != nil {
				return err
			}
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			b := p.busy("order %d", id)
			o, err := do(c, cmd.Context(), id)
			b.end()
			if err != nil {
				return err
			}
			return p.answered(o, func() { p.sayOrder(o) })
		},
	}
}

func orderIDs(ctx context.Context, c *client.Client, _ string) []string {
	return first(c.Orders(ctx, client.OrderQuery{}), func(o client.Order) string { return fmt.Sprint(o.ID) })
}

func (p *program) sayOrder(o *client.OrderStory) {
	p.fields().add("order", fmt.Sprintf("%d for %s", o.ID, o.Certificate)).add("state", o.State).add("the CA says", o.CAStatus).
		add("names", strings.Join(o.Names, "\n")).add("authority", o.Authority).add("account", o.Account).add("url", o.URL).
		add("profile", o.Profile).add("lane", o.Lane).add("replaces", version(o.Replaces)).add("note", o.ReplacesNote).
		add("key", ident(o.KeyID)).add("came of it", version(o.VersionID)).
		add("problem", strings.TrimSpace(o.Problem+" "+parenthesis(o.ProblemType))).add("advice", o.Advice).
		add("next step", p.when(o.DueAt)).add("opened", p.when(o.CreatedAt)).add("ended", p.when(o.FinishedAt)).add("CA forgets it", p.when(o.ExpiresAt)).flush()
	if len(o.Authorizations) > 0 {
		p.title("Authorizations")
		p.printAll(authorizationHeader, rows(o.Authorizations, p.authorizationRow))
	}
	if len(o.Challenges) > 0 {
		p.title("Challenges")
		p.printAll(challengeHeader, rows(o.Challenges, p.challengeRow))
	}
	if len(o.Exchanges) > 0 {
		p.title("Exchanges with the CA")
		p.printAll([]string{"AT", "KIND", "ANSWER", "TOOK", "URL", "PROBLEM"}, rows(o.Exchanges, exchangeRow))
	}
}

func version(id int64) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("version %d", id)
}

func exchangeRow(x client.Exchange) []string {
	answer := fmt.Sprint(x.Status)
	if x.Status == 0 {
		answer = "none"
	}
	return []string{x.At.Local().Format("01-02 15:04:05"), x.Kind, x.Method + " " + answer, fmt.Sprintf("%d ms", x.TookMillis), x.URL, cut(strings.TrimSpace(x.Problem+" "+retryAfter(x.RetryAfter)), 80)}
}

func retryAfter(s string) string {
	if s == "" {
		return ""
	}
	return "(retry after " + s + ")"
}

// rows makes rows of things.
func rows[T any](list []T, row func(T) []string) [][]string {
	var out [][]string
	for _, v := range list {
		out = append(out, row(v))
	}
	return out
}

func (p *program) printAll(header []string, rows [][]string) {
	t := p.table(header...)
	for _, r := range rows {
		t.row(r...)
	}
	t.flush()
}
