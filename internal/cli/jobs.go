package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) jobsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "jobs",
		Short:   "Show what is worked on and what is due",
		Long:    "Show what the manager works on right now, how much of each kind of work is due,\nand which certificates fail.",
		Example: "  certfleet jobs\n  certfleet jobs --json | jq .due",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			j, err := c.Jobs(cmd.Context())
			if err != nil {
				return err
			}
			return p.answered(j, func() { p.sayJobs(j) })
		},
	}
}

func (p *program) sayJobs(j *client.Jobs) {
	p.printAll([]string{"KIND", "DUE", "SUCH AS"}, rows(j.Due, func(d client.DueJobs) []string {
		return []string{d.Kind, fmt.Sprint(d.N), cut(strings.Join(d.Say, "; "), 100)}
	}))
	if len(j.Running) > 0 {
		p.title("Worked on now")
		p.printAll([]string{"KIND", "ID", "SINCE"}, rows(j.Running, func(r client.RunningJob) []string {
			return []string{r.Kind, fmt.Sprint(r.ID), p.when(r.Since)}
		}))
	}
	if len(j.Failing) > 0 {
		p.title("Failing")
		p.printAll([]string{"CERTIFICATE", "TIMES", "NEXT TRY", "PROBLEM"}, rows(j.Failing, func(c client.Certificate) []string {
			return []string{c.Label, fmt.Sprint(c.Failures), p.next(&c), cut(c.Problem, 80)}
		}))
	}
	p.say("\nnext: %s", p.when(j.NextAt))
}

func (p *program) limitsCommand() *cobra.Command {
	var q client.LimitsQuery
	cmd := &cobra.Command{
		Use:     "limits",
		Short:   "Count requests to CAs, and show what they told us to wait for",
		Long:    "Count the requests that were made to CAs by day, account, kind and answer, and\nshow what a CA told us to wait for.",
		Example: "  certfleet limits\n  certfleet limits --since 1d --json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			l, err := c.Limits(cmd.Context(), q)
			if err != nil {
				return err
			}
			return p.answered(l, func() { p.sayLimits(l) })
		},
	}
	cmd.Flags().StringVar(&q.Since, "since", "", "how far back, such as 1d (default 7d)")
	return cmd
}

func (p *program) sayLimits(l *client.Limits) {
	if len(l.Requests) == 0 {
		p.note("no CA was asked for anything yet")
		return
	}
	p.printAll([]string{"DAY", "AUTHORITY", "ACCOUNT", "KIND", "ANSWER", "REQUESTS"}, rows(l.Requests, func(r client.RequestCount) []string {
		return []string{r.Day, r.Authority, dash(r.Account), r.Kind, fmt.Sprint(r.Status), fmt.Sprint(r.N)}
	}))
	if len(l.Pauses) > 0 {
		p.title("Told to wait")
		p.printAll([]string{"WHAT", "UNTIL", "BECAUSE"}, rows(l.Pauses, func(w client.Pause) []string {
			return []string{w.Key, p.when(w.Until), cut(w.Reason, 100)}
		}))
	}
}
