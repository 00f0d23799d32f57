package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/client"
)

func (p *program) targetsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "targets",
		Short: "Say where certificates are brought",
		Long: `Targets are the places that certificates are brought to, such as a folder that a
web server reads. A delivery is done when each of the target's addresses was
seen serving it. Without a subcommand it is the same as targets list.`,
		Example: `  certfleet targets add edge1 --type files --set dir=/etc/tls --set layout=certbot --probe 192.0.2.7:443
  certfleet targets types
  certfleet targets deliver edge1 --force`,
	}
	query, limit := p.targetFlags(cmd)
	sub := &cobra.Command{Use: "list", Short: "List targets", Long: "List targets, of what kind they are and where they serve.", Example: "  certfleet targets list --label site=berlin", Args: none}
	subQuery, subLimit := p.targetFlags(sub)
	sub.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.listTargets(cmd.Context(), *subQuery, *subLimit)
	}
	yes, no := true, false
	return p.group(cmd, func(cmd *cobra.Command) error { return p.listTargets(cmd.Context(), *query, *limit) }, sub, p.showTarget(), p.addTarget(), p.targetTypes(), p.deliverTarget(), p.primeTarget(), p.verifyTarget(), p.targetEdges(),
		p.changeTarget("pause", "Deliver nothing to a target until it is resumed", client.TargetChange{Paused: &yes}),
		p.changeTarget("resume", "Deliver to a target again", client.TargetChange{Paused: &no}))
}

func (p *program) targetFlags(cmd *cobra.Command) (*client.TargetQuery, *int) {
	var q client.TargetQuery
	filtered(cmd, &q.Label)
	return &q, limited(cmd)
}

func (p *program) listTargets(ctx context.Context, q client.TargetQuery, limit int) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	return list(p, c.Targets(ctx, q), limit, []string{"LABEL", "STATE", "TYPE", "SERVES AT", "PROOF", "LABELS"}, func(t client.Target) []string {
		return []string{t.Label, word(t.Paused, "paused", "active"), t.Type, few(t.Probe, 3), orElse(t.Proof, "all"), labelText(t.Labels)}
	})
}

func (p *program) sayTarget(t *client.Target) {
	spec, _ := json.Marshal(t.Spec) // it came as JSON
	p.fields().add("target", fmt.Sprintf("%s (id %d)", t.Label, t.ID)).add("state", word(t.Paused, "paused", "active")).add("type", t.Type).add("settings", string(spec)).
		add("serves at", strings.Join(t.Probe, "\n")).add("proof", orElse(t.Proof, "all")).add("labels", labelText(t.Labels)).add("pace", paceText(t)).flush()
}

// paceText says how a target asks to be delivered to, when it asks for anything.
func paceText(t *client.Target) string {
	var say []string
	if t.Group != "" {
		say = append(say, word(t.Canary, "canary of ", "in ")+"group "+t.Group)
	}
	if t.PushMode != "" {
		say = append(say, t.PushMode)
	}
	if t.Concurrency > 0 {
		say = append(say, fmt.Sprintf("%d connections at a time", t.Concurrency))
	}
	if t.Rate > 0 {
		say = append(say, fmt.Sprintf("%d versions a minute", t.Rate))
	}
	return strings.Join(say, ", ")
}

func (p *program) showTarget() *cobra.Command {
	return p.onTarget(&cobra.Command{Use: "show LABEL", Short: "Show a target", Long: "Show a target and its settings.", Example: "  certfleet targets show edge1"},
		func(ctx context.Context, c *client.Client, l string) (*client.Target, error) { return c.Target(ctx, l) })
}

func (p *program) changeTarget(verb, what string, ch client.TargetChange) *cobra.Command {
	return p.onTarget(&cobra.Command{Use: verb + " LABEL", Short: what, Long: what + ". What is there stays there.", Example: "  certfleet targets " + verb + " edge1"},
		func(ctx context.Context, c *client.Client, l string) (*client.Target, error) {
			return c.ChangeTarget(ctx, l, ch)
		})
}

func (p *program) onTarget(cmd *cobra.Command, do func(context.Context, *client.Client, string) (*client.Target, error)) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = args(1, 1, "the label of a target"), p.offers(1, targetLabels)
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		t, err := do(cmd.Context(), c, words[0])
		if err != nil {
			return p.similar(cmd.Context(), err, words[0], targetLabels)
		}
		return p.answered(t, func() { p.sayTarget(t) })
	}
	return cmd
}

func (p *program) addTarget() *cobra.Command {
	var t client.Target
	var labels, settings []string
	var change bool
	cmd := &cobra.Command{
		Use: "add LABEL", Short: "Add a target, or change one", Long: "Add a place to deliver to. What a kind of target can be told is listed by\ncertfleet targets types; a value that is JSON is taken as such.",
		Example: "  certfleet targets add edge1 --type files --set dir=/etc/tls --set layout=certbot --probe 192.0.2.7:443\n  certfleet targets add lb --type files --set dir=/etc/haproxy/certs --set layout=haproxy --set 'command=[\"systemctl\",\"reload\",\"haproxy\"]'",
		Args:    args(1, 1, "a label"),
	}
	f := cmd.Flags()
	f.StringVar(&t.Type, "type", "files", "the `KIND` of target; see certfleet targets types")
	f.StringArrayVar(&settings, "set", nil, "a setting, `KEY=VALUE`; may be given several times")
	f.StringSliceVar(&t.Probe, "probe", nil, "where it serves, `HOST:PORT`; may be given several times")
	f.StringVar(&t.Proof, "proof", "", "how many names are looked at: all, sample or none (default all)")
	f.StringArrayVar(&labels, "label", nil, "your own `KEY=VALUE`; may be given several times")
	f.BoolVar(&change, "update", false, "change the one that has this label already")
	f.StringVar(&t.Group, "group", "", "the `GROUP` it belongs to, for --canary and --push-mode")
	f.BoolVar(&t.Canary, "canary", false, "a new version goes here first, and to the rest of the group when it is seen served")
	f.StringVar(&t.PushMode, "push-mode", "", "parallel, or serial: never at the same time as others of the group (default parallel)")
	f.IntVar(&t.Concurrency, "concurrency", 0, "how many `CONNECTIONS` at a time from each node (default 4)")
	f.IntVar(&t.Rate, "rate", 0, "how many `VERSIONS` a minute at most (default any)")
	flagWords(cmd, "proof", "all", "sample", "none")
	flagWords(cmd, "push-mode", "parallel", "serial")
	cmd.RunE = func(cmd *cobra.Command, words []string) (err error) {
		t.Label = words[0]
		if t.Labels, err = labelled(labels); err != nil {
			return err
		}
		if t.Spec, err = spec(settings); err != nil {
			return err
		}
		c, err := p.client(cmd.Context())
		if err != nil {
			return err
		}
		var got *client.Target
		if change {
			got, err = c.PutTarget(cmd.Context(), t.Label, t)
		} else {
			got, err = c.AddTarget(cmd.Context(), t)
		}
		if err != nil {
			return err
		}
		return p.answered(got, func() { p.sayTarget(got) })
	}
	return cmd
}

// spec reads settings; what is JSON but a plain number or word is taken as JSON.
func spec(list []string) (map[string]any, error) {
	out := map[string]any{}
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, invalid("write --set KEY=VALUE, such as --set dir=/etc/tls", "%q is not a setting", s)
		}
		var value any
		if json.Unmarshal([]byte(v), &value) != nil {
			value = v
		}
		out[k] = value
	}
	return out, nil
}

func (p *program) targetTypes() *cobra.Command {
	return &cobra.Command{
		Use: "types", Short: "List the kinds of target and their settings", Long: "List the kinds of target and what each can be told with --set.", Example: "  certfleet targets types", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			types, err := c.TargetTypes(cmd.Context())
			if err != nil {
				return err
			}
			if p.flags.json {
				return list(p, values(types, nil), 0, nil, func(client.TargetType) []string { return nil })
			}
			t := p.table("TYPE", "SETTING", "IS A", "MEANING")
			for _, x := range types {
				for _, f := range x.Fields {
					t.row(x.Type, f.Name, f.Type, f.Doc)
				}
			}
			return t.flush()
		},
	}
}

func (p *program) deliverTarget() *cobra.Command {
	var r client.Redelivery
	cmd := &cobra.Command{
		Use: "deliver LABEL", Short: "Deliver to a target again", Long: "Deliver to a target what it should have and has not; with --force also what is\nthere already.",
		Example: "  certfleet targets deliver edge1\n  certfleet targets deliver edge1 --certificate shop.example --force", Args: args(1, 1, "the label of a target"), ValidArgsFunction: p.offers(1, targetLabels),
		RunE: func(cmd *cobra.Command, words []string) error {
			c, err := p.client(cmd.Context())
			if err != nil {
				return err
			}
			got, err := c.DeliverTarget(cmd.Context(), words[0], r)
			if err != nil {
				return p.similar(cmd.Context(), err, words[0], targetLabels)
			}
			return p.answered(got, func() { p.say("%d deliveries to %s are due now", got.Due, words[0]) })
		},
	}
	cmd.Flags().StringVar(&r.Certificate, "certificate", "", "only the certificate with this `LABEL`")
	cmd.Flags().BoolVar(&r.Force, "force", false, "also what is there already")
	cmd.RegisterFlagCompletionFunc("certificate", p.certificateArg(0))
	return cmd
}
