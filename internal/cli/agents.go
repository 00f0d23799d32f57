package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) agentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agents",
		Short: "Invite, list and revoke agents on other hosts",
		Long: `Agents are programs beside services on other hosts: certfleet-agent. One that is
invited and joins has an identity of its own, tells this manager what it holds,
and fetches what is for it where its target is of type pull. Without a subcommand
it is the same as agents list.`,
		Example: "  certfleet agents invite edge7\n  certfleet agents show edge7\n  certfleet agents revoke edge7",
	}
	labels, limit := agentFlags(cmd)
	sub := &cobra.Command{Use: "list", Short: "List agents and how they stand", Long: "List agents: which target each stands for, how it stands, and when it reported.", Example: "  certfleet agents list --label site=berlin --json", Args: none}
	subLabels, subLimit := agentFlags(sub)
	sub.RunE = func(cmd *cobra.Command, _ []string) error { return p.listAgents(cmd.Context(), *subLabels, *subLimit) }
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listAgents(cmd.Context(), *labels, *limit) }, sub, p.inviteAgent(), p.showAgent(), p.revokeAgent())
}

func agentFlags(cmd *cobra.Command) (labels *[]string, limit *int) {
	labels = new([]string)
	cmd.Flags().StringArrayVar(labels, "label", nil, "only those that carry `KEY=VALUE`; may be given several times")
	return labels, limited(cmd)
}

func (p *program) listAgents(ctx context.Context, labels []string, limit int) error {
	if _, err := labelled(labels); err != nil {
		return err
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	agents, err := c.Agents(ctx, labels...)
	return list(p, values(agents, err), limit, []string{"LABEL", "STATE", "TARGET", "REPORTED", "RELEASE", "PROBLEM"}, func(a client.Agent) []string {
		return []string{a.Label, a.State, a.Target, p.when(a.ReportedAt), a.Release, a.Problem}
	})
}

func (p *program) inviteAgent() *cobra.Command {
	var n client.NewAgent
	var labels []string
	var ttl duration
	cmd := &cobra.Command{
		Use: "invite LABEL", Short: "Let an agent join, once", Long: "Print a token with which one agent may join, once, before it expires. It says where\nthis manager is and by which private CA it is known. An agent stands for one\ntarget: the one with its own label, unless --target says otherwise.",
		Example: "  certfleet agents invite edge7\n  certfleet agents invite edge7 --ttl 10m --manager https://manager.example.com:7443 | ssh edge7 certfleet-agent join -",
		Args:    args(1, 1, "a label"),
	}
	f := cmd.Flags()
	f.StringVar(&n.Target, "target", "", "stand for the target with this `LABEL` (default the agent's own label)")
	f.StringArrayVar(&labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	f.Var(&ttl, "ttl", "how long the token is good (default 1h)")
	f.StringVar(&n.Manager, "manager", "", "where the agent reaches this manager, `https://HOST:PORT` (default public_url, or where it listens)")
	cmd.RegisterFlagCompletionFunc("target", p.offers(0, targetLabels))
	cmd.RunE = func(cmd *cobra.Command, words []string) (err error) {
		n.Label, n.TTL = words[0], ttl.String()
		if n.Labels, err = labelled(labels); err != nil {
			return err
		}
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		got, err := c.InviteAgent(cmd.Context(), n)
		if err != nil {
			return err
		}
		return p.answered(got, func() {
			p.note("agent %s stands for target %s; it may join until %s, once, on its host:", got.Label, got.Target, got.JoinUntil.UTC().Format(time.RFC3339))
			p.note("  certfleet-agent join TOKEN")
			p.say("%s", got.Token)
		})
	}
	return cmd
}

func (p *program) showAgent() *cobra.Command {
	return &cobra.Command{
		Use: "show LABEL", Short: "Show an agent and what it holds", Long: "Show an agent: how it stands, its clock, what came of its updaters, and what it\nholds and serves.", Example: "  certfleet agents show edge7",
		Args: args(1, 1, "the label of an agent"), ValidArgsFunction: p.offers(1, agentLabels),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			a, err := c.Agent(cmd.Context(), words[0])
			if err != nil {
				return p.similar(cmd.Context(), err, words[0], agentLabels)
			}
			return p.answered(a, func() { p.sayAgent(a) })
		},
	}
}

func (p *program) sayAgent(a *client.AgentStory) {
	var updaters []string
	for _, u := range a.Updaters {
		updaters = append(updaters, fmt.Sprintf("%s: %s", u.Name, word(u.OK, "ok", u.Problem)))
	}
	skew := time.Duration(a.SkewMillis) * time.Millisecond
	clock := ""
	if !a.ReportedAt.IsZero() {
		clock = word(skew.Abs() < time.Second, "as ours", skew.Round(time.Second).String()+" from ours")
	}
	p.fields().add("agent", fmt.Sprintf("%s (id %d)", a.Label, a.ID)).add("state", a.State).add("target", a.Target).add("problem", a.Problem).add("advice", a.Advice).
		add("reported", p.when(a.ReportedAt)).add("release", a.Release).add("clock", clock).add("joined", p.day(a.EnrolledAt)).add("identity until", p.day(a.NotAfter)).
		add("updaters", strings.Join(updaters, "\n")).add("labels", labelText(a.Labels)).flush()
	if len(a.Lineages) == 0 {
		return
	}
	p.say("")
	t := p.table("CERTIFICATE", "UNTIL", "FINGERPRINT", "SERVES IT", "PROBLEM")
	for _, l := range a.Lineages {
		t.row(l.Certificate, p.day(l.NotAfter), short(l.Fingerprint), word(l.Served == "", "-", word(l.Served == l.Fingerprint, "yes", "no")), l.Problem)
	}
	t.flush()
}

func (p *program) revokeAgent() *cobra.Command {
	return &cobra.Command{
		Use: "revoke LABEL...", Short: "Refuse an agent from now on", Long: "End an agent's identity at once. What it holds stays and is served, and whoever may\npush to it still may: take the pusher's key out of its configuration to end that.",
		Example: "  certfleet agents revoke edge7", Args: args(1, -1, "the label of an agent"), ValidArgsFunction: p.offers(0, agentLabels),
		RunE: func(cmd *cobra.Command, labels []string) error {
			return oneOrMore(labels, func(l string) error {
				c, err := p.client(cmd.Context())
				if err != nil {
					return err
				}
				a, err := c.RevokeAgent(cmd.Context(), l)
				if err != nil {
					return p.similar(cmd.Context(), err, l, agentLabels)
				}
				return p.answered(a, func() { p.say("agent %s is refused from now on", a.Label) })
			})
		},
	}
}

func agentLabels(ctx context.Context, c *client.Client, _ string) []string {
	return first(values(c.Agents(ctx)), func(x client.Agent) string { return x.Label })
}
