package cli

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
	"github.com/certfleet/certfleet/internal/takeover"
)

// takingOver is an import of a whole database.
type takingOver struct {
	client.Import // policy, targets, labels and manage
	opt           takeover.Options
	dry, yes      bool
}

func (p *program) importPeterSSLers() *cobra.Command {
	var m takingOver
	var labels []string
	cmd := &cobra.Command{
		Use: "peter_sslers FILE", Short: "Import what a peter_sslers database holds",
		Long: `Import what the SQLite database of a peter_sslers server holds: accounts with their
keys, certificates, renewal configurations, factories, acme-dns accounts, the
blocklist and the system configurations. It shows a plan first. Nothing that is
here is changed, so it may be repeated; the file is only read, and its server may
run. Certificates are paused until certfleet resume, unless --manage is given.`,
		Example: "  certfleet import peter_sslers /srv/peter_sslers/ssl_minnow.sqlite --dry-run\n  certfleet import peter_sslers ssl_minnow.sqlite --target edge1 --yes",
		Args:    args(1, 1, "the database file"),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if m.Labels, err = labelled(labels); err != nil {
				return err
			}
			return p.takeOver(cmd.Context(), words[0], &m)
		},
	}
	importFlags(p, cmd, &m.Import, &labels)
	f := cmd.Flags()
	f.Lookup("policy").Usage = "the policy of certificates without a renewal configuration is this `LABEL` (default \"default\")"
	f.BoolVar(&m.opt.Expired, "expired", false, "bring expired certificates too")
	f.BoolVar(&m.opt.Chains, "chains", false, "prefer the chains that its policy global names, which it never followed")
	f.StringVar(&m.opt.Solver, "solver", "", "the `LABEL` of the solver that keeps acme-dns accounts (default the one with their server)")
	f.BoolVar(&m.dry, "dry-run", false, "only show the plan")
	f.BoolVarP(&m.yes, "yes", "y", false, "do not ask")
	return cmd
}

// takeOver draws a plan, shows it, asks, and carries it out.
func (p *program) takeOver(ctx context.Context, path string, m *takingOver) error {
	src, err := petersslers.Open(ctx, path)
	if err != nil {
		return err
	}
	defer src.Close()
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	m.opt.Manage, m.opt.Policy, m.opt.Targets, m.opt.Labels = m.Manage, m.Policy, m.Targets, m.Labels
	b := p.busy("reading %s", path)
	plan, err := takeover.Draw(ctx, src, c, time.Now(), m.opt)
	b.end()
	if err != nil {
		return err
	}
	if m.dry || plan.Count(takeover.Add) == 0 {
		return p.answered(tallied(plan), func() { p.sayDrawn(plan) })
	}
	if !p.flags.json {
		p.sayDrawn(plan)
	}
	if err := p.confirm(ctx, m.yes, fmt.Sprintf("%d things would be added; nothing that is here is changed", plan.Count(takeover.Add))); err != nil {
		return err
	}
	return p.carry(ctx, plan)
}

// carry adds what the plan says.
func (p *program) carry(ctx context.Context, plan *takeover.Plan) error {
	all := plan.Count(takeover.Add)
	b := p.busy("adding %d", all)
	var n atomic.Int64
	err := plan.Carry(ctx, func(i *takeover.Item) { b.set("added %d of %d, at last %s %s", n.Add(1), all, i.Noun, i.Label) })
	b.end()
	said := p.answered(tallied(plan), func() { p.sayCarried(plan) })
	if err != nil {
		return fmt.Errorf("%d of %d were added: %w", plan.Count(takeover.Added), all, err)
	}
	if failed := plan.Count(takeover.Failed); failed > 0 && said == nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%d of %d could not be added", failed, all), Advice: "mend what is said of each, and import again: what is here stays"}
	}
	return said
}

// drawn is a plan with its sums.
type drawn struct {
	*takeover.Plan
	Tallies []takeover.Tally `json:"tallies"`
}

func tallied(plan *takeover.Plan) drawn { return drawn{plan, plan.Tallies()} }

func (p *program) sayDrawn(plan *takeover.Plan) {
	t := p.table("WHAT", "TO ADD", "HERE", "SKIPPED")
	for _, x := range plan.Tallies() {
		t.row(x.Noun, strconv.Itoa(x.Add), strconv.Itoa(x.There), strconv.Itoa(x.Skip))
	}
	t.flush()
	p.sayItems("Skipped:", plan, func(i *takeover.Item) (string, bool) { return i.Reason, i.State == takeover.Skip })
	p.sayItems("To know:", plan, func(i *takeover.Item) (string, bool) { return i.Note, i.Note != "" })
	if plan.Count(takeover.Add) == 0 {
		p.say("There is nothing to add.")
	}
}

func (p *program) sayCarried(plan *takeover.Plan) {
	p.say("%d were added.", plan.Count(takeover.Added))
	p.sayItems("Not added:", plan, func(i *takeover.Item) (string, bool) { return i.Reason, i.State == takeover.Failed })
}

// sayItems lists those that say something; not more than a person reads.
func (p *program) sayItems(head string, plan *takeover.Plan, says func(*takeover.Item) (string, bool)) {
	t, n := p.table("WHAT", "ID", "LABEL", "REASON", "ADVICE"), 0
	for _, i := range plan.Items {
		text, ok := says(i)
		if !ok {
			continue
		}
		if n++; n <= most {
			t.row(i.Noun, word(i.ID == 0, "", strconv.FormatInt(i.ID, 10)), i.Label, text, i.Advice)
		}
	}
	if n == 0 {
		return
	}
	p.say("\n%s", head)
	t.flush()
	if n > most {
		p.say("and %d more; --json lists all", n-most)
	}
}
