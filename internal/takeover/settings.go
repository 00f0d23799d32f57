package takeover

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// drawSystems plans the default policies.
func (d *drawer) drawSystems(ctx context.Context) error {
	for _, p := range certfleet.Purposes {
		s, ok := d.systems[string(p)]
		if !ok {
			continue
		}
		if !s.Configured || s.Primary.AccountID == 0 {
			d.skip(Default, s.ID, s.Name, "it was never configured", "")
			continue
		}
		label, note, err := d.policies.of(s.Primary, s.Backup)
		if err != nil {
			d.skip(Default, s.ID, s.Name, err.Error(), "")
			continue
		}
		if is := d.here.defaults[s.Name]; is != "" {
			d.put(Item{Noun: Default, ID: s.ID, Label: s.Name, Policy: is, State: There, Note: d.other(is, label)})
			continue
		}
		d.put(Item{Noun: Default, ID: s.ID, Label: s.Name, Policy: label, State: Add, Note: note, act: func(ctx context.Context) error {
			_, err := d.c.SetDefault(ctx, s.Name, label)
			return err
		}})
	}
	return nil
}

func (d *drawer) other(is, want string) string {
	if is == want {
		return ""
	}
	return fmt.Sprintf("here it is %s; there it is what policy %s says", is, want)
}

// made is a factory as it is in the plan.
type made struct {
	label      string
	duplicates certfleet.DuplicateStrategy
}

// drawFactories plans the enrollment factories.
func (d *drawer) drawFactories(ctx context.Context) error {
	list, err := d.src.Factories(ctx)
	if err != nil {
		return err
	}
	for _, f := range list {
		d.drawFactory(f)
	}
	return nil
}

func (d *drawer) drawFactory(f petersslers.Factory) {
	label := cmp.Or(labelOf(f.Name), "peter_sslers-"+number(f.ID))
	i := slices.IndexFunc(d.here.factories, func(x client.Factory) bool { return x.Labels[FactoryLabel] == number(f.ID) })
	if i >= 0 {
		label = d.here.factories[i].Label
		d.factories[f.ID] = made{label, f.Duplicates}
		d.number("factory", f.ID, label, false)
		d.put(Item{Noun: Factory, ID: f.ID, Label: label, State: There})
		return
	}
	if slices.ContainsFunc(d.here.factories, func(x client.Factory) bool { return x.Label == label }) {
		d.skip(Factory, f.ID, label, "another factory has this label here", "rename one of them, or make it with certfleet factories add")
		return
	}
	policy, note, err := d.policies.of(f.Primary, f.Backup)
	if err != nil {
		d.skip(Factory, f.ID, label, err.Error(), "")
		return
	}
	row := client.Factory{Label: label, Labels: map[string]string{FactoryLabel: number(f.ID)}}
	row.Policy, row.HTTP01, row.DNS01, row.LabelTemplate, row.Note = policy, certfleet.ParseTemplates(f.HTTP01), certfleet.ParseTemplates(f.DNS01), f.LabelTemplate, clipped(f.Note, 1000)
	row.Targets, row.Duplicates = d.opt.Targets, string(f.Duplicates)
	if len(row.DNS01) > 0 {
		row.Solver = d.here.dnsSolver(d.opt.Solver)
	}
	spec := certfleet.FactorySpec{HTTP01: row.HTTP01, DNS01: row.DNS01, LabelTemplate: row.LabelTemplate, Duplicates: f.Duplicates}
	if err := spec.Check(); err != nil {
		d.skip(Factory, f.ID, label, err.Error(), certfleet.AdviceOf(err))
		return
	}
	d.factories[f.ID] = made{label, f.Duplicates}
	d.number("factory", f.ID, label, true)
	d.put(Item{Noun: Factory, ID: f.ID, Label: label, Policy: policy, State: Add, Note: note, act: func(ctx context.Context) error {
		_, err := d.c.AddFactory(ctx, row)
		return err
	}})
}

// drawBlocklist plans the names that are never ordered.
func (d *drawer) drawBlocklist(ctx context.Context) error {
	list, err := d.src.Blocklist(ctx)
	if err != nil {
		return err
	}
	for _, b := range list {
		n, err := certfleet.ParseName(b.Name)
		switch {
		case err != nil:
			d.skip(Blocked, b.ID, b.Name, err.Error(), certfleet.AdviceOf(err))
		case d.here.blocked[n.String()]:
			d.put(Item{Noun: Blocked, ID: b.ID, Label: n.String(), State: There})
		default:
			d.put(Item{Noun: Blocked, ID: b.ID, Label: n.String(), State: Add, act: func(ctx context.Context) error {
				_, err := d.c.Block(ctx, client.Blocked{Kind: "name", Pattern: n.String(), Note: "from peter_sslers"})
				return err
			}})
			d.blocked[n.String()] = true
		}
	}
	return nil
}

// drawRest tells of what is not taken over.
func (d *drawer) drawRest(ctx context.Context) error {
	for _, r := range []struct{ table, label, reason string }{
		{"x509_certificate_trusted", "certificates of CAs", "chains come along with the versions that have them"},
		{"rate_limited", "answers of CAs that a limit was reached", "limits are counted here from now on"},
	} {
		n, err := d.src.Count(ctx, r.table)
		if err != nil {
			return err
		}
		if n > 0 {
			d.skip(Rest, 0, fmt.Sprintf("%d %s", n, r.label), r.reason, "")
		}
	}
	return nil
}
