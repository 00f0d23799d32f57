package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/internal/app"
)

func (p *program) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say what of a manager would not work, and what to do about it",
		Long: `Look at everything that a manager stands on: its configuration, folder, ports,
sealing key, database, private CA, resolvers, solvers, targets, policies, and the
CAs it has accounts at. Nothing is ordered or delivered. It ends with 1 when
something fails.`,
		Example: "  certfleet check\n  certfleet check --config ./certfleet.yaml --json",
		Args:    none,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.check(cmd.Context()) },
	}
}

func (p *program) check(ctx context.Context) error {
	b := p.busy("checking")
	found := app.Check(ctx, p.flags.config)
	b.end()
	failed := false
	for _, f := range found {
		failed = failed || f.State == app.CheckFail
	}
	if err := p.sayFindings(found); err != nil {
		return err
	}
	if failed {
		return errSilent
	}
	return nil
}

func (p *program) sayFindings(found []app.Finding) error {
	if p.flags.json {
		return list(p, values(found, nil), 0, nil, func(app.Finding) []string { return nil })
	}
	t := p.table("STATE", "CHECK", "FOUND")
	for _, f := range found {
		t.row(f.State, f.Check, cut(f.Found, 140))
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, f := range found {
		if f.State == app.CheckOK || f.Advice == "" && len(f.Found) < 140 {
			continue
		}
		p.say("\n%s: %s", p.paint(tone(f.State), f.Check), indented(f.Found))
		if f.Advice != "" {
			p.say("advice: %s", indented(f.Advice))
		}
	}
	return nil
}
