package takeover

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// holder is a certificate of ours that is to hold versions.
type holder struct {
	from  string // the label that says where it came from
	label string
	names []certfleet.Name
	is    *client.Certificate // as it is here, nil for not
	ask   client.NewCertificate
	id    int64
	note  string

	brought bool // a version comes along, and what is done last is done by that
}

// drawCertificates plans the renewal configurations, and what is valid without one.
func (d *drawer) drawCertificates(ctx context.Context) error {
	if err := d.stocktake(ctx); err != nil {
		return err
	}
	kept := map[int64]bool{} // sets of names that a renewal configuration has
	off := 0
	err := d.src.Renewals(ctx, func(list []petersslers.Renewal) error {
		for _, n := range list {
			if !n.Active {
				off++
				d.release(n)
				continue
			}
			kept[n.SetID] = true
			if err := d.drawRenewal(ctx, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if off > 0 {
		d.skip(Certificate, 0, fmt.Sprintf("%d renewal configurations", off), "they are switched off there; what they got and is valid counts as without one", "")
	}
	return d.drawLoose(ctx, kept)
}

// release leaves the certificates of a renewal configuration to their names.
func (d *drawer) release(n petersslers.Renewal) {
	d.stock.sets[n.SetID] = append(d.stock.sets[n.SetID], d.stock.renewals[n.ID]...)
	delete(d.stock.renewals, n.ID)
}

func (d *drawer) drawRenewal(ctx context.Context, n petersslers.Renewal) error {
	h, err := d.renewalHolder(n)
	if err != nil {
		d.skip(Certificate, n.ID, cmp.Or(n.Label, "renewal_configuration "+number(n.ID)), err.Error(), certfleet.AdviceOf(err))
		return nil
	}
	if !d.hold(h) {
		return nil
	}
	return d.drawVersions(ctx, h, d.candidates(n))
}

// candidates are the certificates of a renewal configuration. One that has none of
// its own, as after an import from certbot, takes those for its names.
func (d *drawer) candidates(n petersslers.Renewal) []petersslers.Certificate {
	if own := d.stock.renewals[n.ID]; len(own) > 0 {
		return own
	}
	return slices.DeleteFunc(slices.Clone(d.stock.sets[n.SetID]), func(c petersslers.Certificate) bool { return c.RenewalID != 0 })
}

// renewalHolder is the certificate that a renewal configuration becomes.
func (d *drawer) renewalHolder(n petersslers.Renewal) (*holder, error) {
	h := &holder{from: RenewalLabel + "=" + number(n.ID), id: n.ID}
	var err error
	if h.names, err = d.namesOf(slices.Collect(func(yield func(string) bool) {
		for _, p := range n.Proofs {
			if !yield(p.Name) {
				return
			}
		}
	})); err != nil {
		return nil, err
	}
	policy, note, err := d.policies.of(n.Primary, n.Backup)
	if err != nil {
		return nil, err
	}
	h.note = note
	h.ask = client.NewCertificate{Names: certfleet.Strings(h.names), Policy: policy, Targets: d.opt.Targets, Labels: d.labels(RenewalLabel, n.ID, n.Note), Lane: "backfill", Paused: true}
	f := d.factories[n.FactoryID]
	if f.label != "" {
		h.ask.Labels["factory"] = f.label
	}
	h.ask.Proofs = d.proofs(n, cmp.Or(n.Duplicates, f.duplicates))
	if slices.ContainsFunc(h.ask.Proofs, func(p client.EnrolledName) bool {
		return p.Challenge == string(certfleet.DNS01) || p.Second == string(certfleet.DNS01)
	}) {
		h.ask.Solver = d.here.dnsSolver(d.opt.Solver)
	}
	h.label = labelOf(n.Label)
	return h, nil
}

// labels are those of a certificate.
func (d *drawer) labels(key string, id int64, note string) map[string]string {
	out := map[string]string{key: number(id)}
	if note = oneLine(note); note != "" {
		out[noteLabel] = note
	}
	maps.Copy(out, d.opt.Labels)
	return out
}

func (d *drawer) namesOf(list []string) ([]certfleet.Name, error) {
	if len(list) == 0 || slices.Contains(list, "") {
		return nil, fmt.Errorf("the rows of its names are not there")
	}
	names, err := certfleet.ParseNames(list)
	switch {
	case err != nil:
		return nil, err
	case len(names) > mostNames:
		return nil, fmt.Errorf("it has %d names, and a certificate takes %d", len(names), mostNames)
	}
	return names, nil
}

// mostNames is how many names one certificate takes.
const mostNames = 100

// proofs say how names are proved where that is not http-01, which is what happens
// anyway. A name for which something else was said here keeps that.
func (d *drawer) proofs(n petersslers.Renewal, strategy certfleet.DuplicateStrategy) (out []client.EnrolledName) {
	for _, p := range n.Proofs {
		name, err := certfleet.ParseName(p.Name)
		if err != nil || d.here.proved[name.String()] != "" {
			continue
		}
		types := slices.DeleteFunc(slices.Clone(p.Types), func(t certfleet.ChallengeType) bool { return name.IsWildcard() && t != certfleet.DNS01 })
		if strategy == certfleet.DNS01ThenHTTP {
			slices.Reverse(types)
		}
		e := client.EnrolledName{Name: name.String()}
		if len(types) > 0 {
			e.Challenge = string(types[0])
		}
		if len(types) > 1 && strategy != certfleet.NoDuplicates {
			e.Second = string(types[1])
		}
		if e.Challenge != "" && (e.Challenge != string(certfleet.HTTP01) || e.Second != "") {
			out = append(out, e)
		}
	}
	return out
}

// hold plans the certificate, and reports whether it can hold versions.
func (d *drawer) hold(h *holder) bool {
	if is, ok := d.here.certificates[h.from]; ok {
		h.is, h.label = &is, is.Label
		reason := ""
		if is.State == "removed" {
			reason = "it was removed here, and stays so"
		}
		d.numberHolder(h, false)
		d.put(Item{Noun: Certificate, ID: h.id, Label: is.Label, Names: is.Names, Policy: is.Policy, State: There, Note: reason})
		return is.State != "removed"
	}
	for _, n := range h.names {
		switch by := d.here.keptBy[n.String()]; {
		case d.blocked[n.String()]:
			d.skip(Certificate, h.id, n.String(), n.String()+" is on the blocklist", "take it off with certfleet blocklist remove, if it is to be ordered")
			return false
		case by != "":
			d.skip(Certificate, h.id, n.String(), fmt.Sprintf("certificate %s keeps %s here already", by, n), "remove that one and import again, if this one is to be kept")
			return false
		}
	}
	h.label = d.freeLabel(h)
	h.ask.Label = h.label
	d.numberHolder(h, true)
	d.put(Item{Noun: Certificate, ID: h.id, Label: h.label, Names: h.ask.Names, Policy: h.ask.Policy, State: Add, Note: h.note, act: func(ctx context.Context) error { return d.addCertificate(ctx, h) }})
	return true
}

// freeLabel is what a certificate is called: as there, or by its first name.
func (d *drawer) freeLabel(h *holder) string {
	label := cmp.Or(h.label, h.names[0].String())
	if _, err := certfleet.LineageName(label); err != nil {
		label = h.names[0].String()
	}
	if d.here.labels[label] {
		label = clipped(label, 120) + "-" + h.from[strings.LastIndex(h.from, "=")+1:]
	}
	d.here.labels[label] = true
	return label
}

func (d *drawer) addCertificate(ctx context.Context, h *holder) error {
	if _, err := d.c.AddCertificate(ctx, h.ask); err != nil {
		return err
	}
	if d.opt.Manage && !h.brought {
		_, err := d.c.ResumeCertificate(ctx, h.label)
		return err
	}
	return nil
}

// drawLoose plans what is valid and belongs to no renewal configuration: the best
// for each set of names.
func (d *drawer) drawLoose(ctx context.Context, kept map[int64]bool) error {
	policy := cmp.Or(d.opt.Policy, "default")
	for _, set := range slices.Sorted(maps.Keys(d.stock.sets)) {
		if kept[set] {
			continue
		}
		list := slices.DeleteFunc(slices.Clone(d.stock.sets[set]), func(c petersslers.Certificate) bool {
			return !c.Active && c.Role != petersslers.Imported || c.Role == petersslers.Backup
		})
		got, err := d.choose(ctx, Version, list, nil)
		if err != nil {
			return err
		}
		if got == nil {
			continue
		}
		names := pki.NamesOf(got.leaf)
		h := &holder{from: SetLabel + "=" + number(set), names: names, id: got.ID, note: "it has no renewal configuration that is on"}
		h.ask = client.NewCertificate{Names: certfleet.Strings(names), Policy: policy, Targets: d.opt.Targets, Labels: d.labels(SetLabel, set, ""), Lane: "backfill", Paused: true}
		if d.hold(h) {
			d.drawVersion(h, got, Version)
		}
	}
	return nil
}
