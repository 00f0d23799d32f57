package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) limitsCommand() *cobra.Command {
	var q client.LimitsQuery
	var since duration
	var clear string
	cmd := &cobra.Command{
		Use:   "limits",
		Short: "Show what CAs allow, what is left of it, and what they told us to wait for",
		Long: `Show what is left of the limits of each CA by our own count, how many certificates
wait for each, what a CA told us to wait for, and the requests that were made. Of
limits on names the fifty emptiest buckets are listed; --name shows those of a name.
--clear forgets what was counted and learned of one limit, as after names were
unpaused on the CA's page; who waits for it has a turn at once.`,
		Example: "  certfleet limits\n  certfleet limits --name shop.example\n  certfleet limits --since 1d --json\n  certfleet limits --clear 'letsencrypt||certificates-per-domain|shop.example'",
	}
	cmd.Flags().Var(&since, "since", "how far back requests are counted, such as 1d (default 7d)")
	cmd.Flags().StringVar(&q.Name, "name", "", "every bucket that the next order for this `NAME` or label touches, full ones too")
	cmd.Flags().StringVar(&clear, "clear", "", "forget what is kept under this `KEY`")
	return p.group(cmd, func(cmd *cobra.Command) error {
		if clear != "" {
			return p.clearLimit(cmd.Context(), clear)
		}
		q.Since = since.String()
		return p.showLimits(cmd.Context(), q)
	}, p.overrideLimit())
}

func (p *program) showLimits(ctx context.Context, q client.LimitsQuery) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	l, err := c.Limits(ctx, q)
	if err != nil {
		return err
	}
	return p.answered(l, func() { p.sayLimits(l) })
}

func (p *program) clearLimit(ctx context.Context, key string) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	if err := c.ClearLimit(ctx, key); err != nil {
		return err
	}
	return p.answered(client.ClearLimit{Key: key}, func() { p.say("cleared %s", key) })
}

func (p *program) sayLimits(l *client.Limits) {
	if len(l.Buckets)+len(l.Requests)+len(l.Pauses)+len(l.Overrides) == 0 {
		p.note("no CA was asked for anything yet")
		return
	}
	p.sayBuckets(l.Buckets)
	if len(l.Pauses) > 0 {
		p.title("Told to wait")
		p.printAll([]string{"UNTIL", "BECAUSE", "KEY"}, rows(l.Pauses, func(w client.Pause) []string {
			until := "a person helps"
			if !w.Until.IsZero() {
				until = p.when(w.Until)
			}
			return []string{until, cut(w.Reason, 100), w.Key}
		}))
		for _, w := range l.Pauses {
			if w.Help != "" {
				p.say("open %s to unpause, then run: certfleet limits --clear '%s'", w.Help, w.Key)
			}
		}
	}
	if len(l.Overrides) > 0 {
		p.title("Overrides")
		p.printAll([]string{"AUTHORITY", "ACCOUNT", "DOMAIN", "LIMIT", "ALLOWED", "NOTE"}, rows(l.Overrides, func(o client.LimitOverride) []string {
			return []string{o.Authority, orElse(o.Account, "all"), orElse(o.Domain, "all"), o.Limit, fmt.Sprintf("%d in %s", o.Count, o.Period), dash(cut(o.Note, 60))}
		}))
	}
	if len(l.Requests) > 0 {
		p.title("Requests")
		p.printAll([]string{"DAY", "AUTHORITY", "ACCOUNT", "KIND", "ANSWER", "REQUESTS"}, rows(l.Requests, func(r client.RequestCount) []string {
			return []string{r.Day, r.Authority, dash(r.Account), r.Kind, fmt.Sprint(r.Status), fmt.Sprint(r.N)}
		}))
	}
}

func (p *program) sayBuckets(list []client.LimitBucket) {
	if len(list) == 0 {
		p.say("No order counted against a limit that is known.")
		return
	}
	p.printAll([]string{"AUTHORITY", "LIMIT", "OF", "LEFT", "HELD", "WAITING", "NEXT TURN", "KEY"}, rows(list, func(b client.LimitBucket) []string {
		next := "-"
		if !b.FreeAt.IsZero() {
			next = p.when(b.FreeAt)
		}
		return []string{b.Authority, b.Limit, cut(orElse(b.Subject, b.Account), 40), fmt.Sprintf("%d of %d", b.Left, b.Most), fmt.Sprint(b.Held), fmt.Sprint(b.Waiting), next, b.Key}
	}))
}

func (p *program) overrideLimit() *cobra.Command {
	var o client.LimitOverride
	var remove bool
	cmd := &cobra.Command{
		Use: "override AUTHORITY LIMIT [COUNT PERIOD]", Short: "Note what a CA granted beyond what it publishes",
		Long: `Note what a CA granted beyond what it publishes, for one account or registered
domain or for all, or what is known of a CA that publishes nothing. The limits are
new-orders, certificates-per-domain, certificates-per-set, failed-validations and
consecutive-failures. pace-newNonce, pace-newAccount, pace-newOrder, pace-revokeCert,
pace-renewalInfo, pace-directory and pace-other say how many requests the CA takes
from one address at an endpoint (pace-other: at those without one of their own); four
fifths of that are used. --remove lets the published limit hold again.`,
		Example: "  certfleet limits override letsencrypt new-orders 3000 3h --account main --note 'granted 2026-11-02'\n  certfleet limits override private-ca new-orders 100 1h\n  certfleet limits override zerossl pace-other 5 1s --burst 1\n  certfleet limits override letsencrypt new-orders --account main --remove",
		Args:    args(2, 4, "an authority and a limit, and unless it is removed a count and a period"),
		RunE: func(cmd *cobra.Command, words []string) error {
			o.Authority, o.Limit = words[0], words[1]
			if remove {
				return p.removeOverride(cmd.Context(), client.OverrideQuery{Authority: o.Authority, Account: o.Account, Domain: o.Domain, Limit: o.Limit})
			}
			if len(words) != 4 {
				return invalid("add how many in what time, such as 3000 3h, or --remove", "an override needs a count and a period")
			}
			n, err := strconv.Atoi(words[2])
			if err != nil || n < 1 {
				return invalid("write a number of 1 or more", "%q is not a count", words[2])
			}
			o.Count, o.Period = n, words[3]
			return p.setOverride(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Account, "account", "", "for this account alone")
	f.StringVar(&o.Domain, "domain", "", "for this registered domain alone")
	f.IntVar(&o.Burst, "burst", 0, "how many at once (default COUNT)")
	f.StringVar(&o.Note, "note", "", "who granted it, and when")
	f.BoolVar(&remove, "remove", false, "let the published limit hold again")
	return cmd
}

func (p *program) setOverride(ctx context.Context, o client.LimitOverride) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	if err := c.SetOverride(ctx, o); err != nil {
		return err
	}
	return p.answered(o, func() {
		p.say("%s allows %d %s in %s from now on", o.Authority, o.Count, o.Limit, o.Period)
	})
}

func (p *program) removeOverride(ctx context.Context, q client.OverrideQuery) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	if err := c.RemoveOverride(ctx, q); err != nil {
		return err
	}
	return p.answered(q, func() { p.say("what %s publishes holds again for %s", q.Authority, q.Limit) })
}
