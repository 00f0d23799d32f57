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
		Long:    "Show what the manager works on right now, how much of each kind of work and of each\nlane is due and since when, which certificates and deliveries fail, with advice, and\nwhat went wrong before it could be written down and is tried again.",
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
	p.printAll([]string{"KIND", "DUE", "SINCE", "SUCH AS"}, rows(j.Due, func(d client.DueJobs) []string {
		return []string{d.Kind, fmt.Sprint(d.N), p.when(d.Oldest), cut(strings.Join(d.Say, "; "), 100)}
	}))
	if len(j.Lanes) > 0 {
		p.title("Waiting for an order")
		p.printAll([]string{"LANE", "DUE", "SINCE"}, rows(j.Lanes, func(l client.LaneJobs) []string {
			return []string{l.Lane, fmt.Sprint(l.N), p.when(l.Oldest)}
		}))
	}
	if len(j.Running) > 0 {
		p.title("Worked on now")
		p.printAll([]string{"KIND", "NODE", "JOBS", "LONGEST SINCE", "IDS"}, rows(byNode(j.Running), p.runningRow))
	}
	if len(j.Trouble) > 0 {
		p.title("Went wrong")
		p.printAll([]string{"KIND", "ID", "TIMES", "LAST", "NEXT TRY", "WHAT", "PROBLEM", "NODE"}, rows(j.Trouble, func(t client.TroubledJob) []string {
			return []string{t.Kind, fmt.Sprint(t.ID), fmt.Sprint(t.Tries), p.when(t.At), p.when(t.NextAt), cut(t.Say, 60), cut(t.Problem, 100), t.Node}
		}))
	}
	if len(j.Failing) > 0 {
		p.title("Failing")
		p.printAll([]string{"CERTIFICATE", "TIMES", "NEXT TRY", "PROBLEM", "ADVICE"}, rows(j.Failing, func(c client.Certificate) []string {
			return []string{c.Label, fmt.Sprint(c.Failures), p.next(&c), cut(c.Problem, 80), cut(c.Advice, 80)}
		}))
	}
	if len(j.Failed) > 0 {
		p.title("Failed deliveries")
		p.printAll([]string{"ID", "TARGET", "TIMES", "NEXT TRY", "PROBLEM", "ADVICE"}, rows(j.Failed, func(d client.Delivery) []string {
			return []string{fmt.Sprint(d.ID), d.Target, fmt.Sprint(d.Attempts), p.when(d.DueAt), cut(d.Problem, 80), cut(d.Advice, 80)}
		}))
	}
	p.say("\nnext: %s", p.when(j.NextAt))
}
