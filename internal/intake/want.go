package intake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// want is all that is wanted of a certificate, checked.
type want struct {
	label     string
	names     []certfleet.Name
	policy    string
	targets   []string
	labels    certfleet.Labels
	challenge *certfleet.ChallengeType               // nil leaves the domains as they are
	solver    *string                                // nil leaves the domains as they are
	state     certfleet.CertificateState             // empty leaves it as it is
	proofs    map[certfleet.Name]certfleet.NameProof // how each name is proved, in place of challenge; nil for none
	dnsSolver string                                 // for those that are proved by dns-01
	lane      certfleet.Lane
}

// wanted checks what is asked for; it reads nothing.
func wanted(n api.NewCertificate) (*want, error) {
	w := &want{label: strings.TrimSpace(n.Label), policy: cmp.Or(n.Policy, "default"), targets: tidy(n.Targets), labels: n.Labels}
	var err error
	if w.names, err = checkNames(n.Names); err != nil {
		return nil, err
	}
	if w.lane, err = laneOf(n.Lane); err != nil {
		return nil, err
	}
	if err := w.prove(n); err != nil {
		return nil, err
	}
	if n.Solver != "" && n.Challenge != string(certfleet.DNS01) && !w.byDNS() {
		return nil, invalid("give --challenge dns-01 with --solver (in the API and files challenge: dns-01), or leave the solver out", fmt.Sprintf("solver %q is for challenge dns-01 only", n.Solver))
	}
	if n.Challenge != "" {
		typ, err := certfleet.ParseChallengeType(n.Challenge)
		if err != nil {
			return nil, err
		}
		w.challenge, w.solver = &typ, &n.Solver
	}
	if n.Paused {
		w.state = certfleet.Paused
	}
	w.label = cmp.Or(w.label, w.names[0].String())
	if err := CheckLabel(w.label); err != nil {
		return nil, err
	}
	if err := checkLineage(w.label); err != nil {
		return nil, err
	}
	return w, w.check()
}

// changed is what is wanted after a change of what there is.
func changed(c *certfleet.Certificate, ch api.CertificateChange) (*want, error) {
	w := &want{label: c.Label, names: c.Names, policy: c.Policy, targets: c.Targets, labels: c.Labels, lane: certfleet.LaneWaiting, solver: ch.Solver}
	var err error
	if ch.Names != nil {
		if w.names, err = checkNames(*ch.Names); err != nil {
			return nil, err
		}
	}
	if ch.Policy != nil {
		w.policy = cmp.Or(*ch.Policy, "default")
	}
	if ch.Targets != nil {
		w.targets = tidy(*ch.Targets)
	}
	if ch.Labels != nil {
		w.labels = *ch.Labels
	}
	if ch.Challenge != nil {
		typ, err := certfleet.ParseChallengeType(*ch.Challenge)
		if err != nil {
			return nil, err
		}
		w.challenge = &typ
	}
	return w, w.check()
}

func (w *want) check() error {
	if err := CheckLabel(w.label); err != nil {
		return err
	}
	if err := checkWords(w.labels); err != nil {
		return err
	}
	if w.challenge == nil {
		return nil
	}
	return checkChallenge(w.names, *w.challenge)
}

// fits checks what is wanted against its policy.
func (w *want) fits(p *certfleet.Policy) error {
	if w.challenge != nil || w.proofs != nil || p.Spec.Challenge != certfleet.DNS01 {
		return nil
	}
	return checkChallenge(w.names, p.Spec.Challenge)
}

// differs lists in which fields a certificate is not as wanted.
func (w *want) differs(ctx context.Context, q store.Q, c *certfleet.Certificate) ([]api.FieldChange, error) {
	var out []api.FieldChange
	add := func(field, from, to string) {
		if from != to {
			out = append(out, api.FieldChange{Field: field, From: from, To: to})
		}
	}
	if certfleet.SetKey(c.Names) != certfleet.SetKey(w.names) {
		add("names", join(certfleet.Strings(c.Names)), join(certfleet.Strings(w.names)))
	}
	add("policy", c.Policy, w.policy)
	add("targets", join(tidy(c.Targets)), join(w.targets))
	add("labels", wordsOf(c.Labels), wordsOf(w.labels))
	add("state", string(c.State), string(w.next(c.State)))
	return w.domainsDiffer(ctx, q, c.Tenant, out)
}

// next is the state that a certificate is to have: what was removed and is
// asked for again is active.
func (w *want) next(is certfleet.CertificateState) certfleet.CertificateState {
	switch {
	case w.state != "":
		return w.state
	case is == certfleet.Removed, is == "":
		return certfleet.Active
	}
	return is
}

func (w *want) domainsDiffer(ctx context.Context, q store.Q, tenant int64, out []api.FieldChange) ([]api.FieldChange, error) {
	if w.asItIs() {
		return out, nil
	}
	for _, n := range w.names {
		d, err := q.Domain(ctx, tenant, n)
		if gone(err) {
			continue // a new name is in the field names already
		}
		if err != nil {
			return nil, err
		}
		is, err := q.SecondProof(ctx, d.ID)
		if err != nil {
			return nil, err
		}
		to, next := w.of(d), w.second(d, is)
		if d.Challenge != to.Challenge || d.Solver != to.Solver || is != next {
			return append(out, api.FieldChange{Field: "challenge", From: proof(d, is), To: proof(&to, next)}), nil
		}
	}
	return out, nil
}

// asItIs reports whether the domains are to be proved as they say.
func (w *want) asItIs() bool { return w.challenge == nil && w.solver == nil && w.proofs == nil }

// second is how a domain is to be proved after a try that failed.
func (w *want) second(d *certfleet.Domain, is store.SecondProof) store.SecondProof {
	if w.challenge == nil && w.proofs == nil {
		return is
	}
	if _, said := w.proofs[d.Name]; w.proofs != nil && !said {
		return is
	}
	to := store.SecondProof{DomainID: d.ID, Challenge: w.proofs[d.Name].Second}
	if to.Challenge == certfleet.DNS01 {
		to.Solver = w.dnsSolver
	}
	return to
}

// of is the domain as it is wanted.
func (w *want) of(d *certfleet.Domain) certfleet.Domain {
	to := *d
	if p, ok := w.proofs[d.Name]; ok {
		to.Challenge, to.Solver = p.First, ""
		if p.First == certfleet.DNS01 {
			to.Solver = w.dnsSolver
		}
		return to
	}
	if w.challenge != nil {
		to.Challenge = *w.challenge
	}
	if w.solver != nil {
		to.Solver = *w.solver
	}
	return to
}

func proof(d *certfleet.Domain, then store.SecondProof) string {
	s := strings.TrimSpace(cmp.Or(string(d.Challenge), "as the policy says") + " " + d.Solver)
	if then.Challenge != "" {
		s = strings.TrimSpace(s + ", then " + string(then.Challenge) + " " + then.Solver)
	}
	return s
}

func join(s []string) string { return strings.Join(s, ", ") }

// wordsOf writes labels in a fixed order.
func wordsOf(l certfleet.Labels) string {
	var out []string
	for k, v := range l {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return join(out)
}
