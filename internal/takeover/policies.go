package takeover

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// policies are those that are here and in the plan: one for each way in which
// certificates are got.
type policies struct {
	d      *drawer
	byText map[string]string // what a policy says to its label
	byMark map[string]string // what one said when it was taken over to its label
	texts  map[string]string // label to what the policy says
	here   map[string]bool   // labels that were here before
	said   map[string]bool   // labels that the plan has
}

// policyLabel is the key of the label that marks what a policy said when it was
// taken over, so that one that was changed since is found again.
const policyLabel = "peter_sslers.policy"

func newPolicies(d *drawer) *policies {
	p := &policies{d: d, byText: map[string]string{}, byMark: map[string]string{}, texts: map[string]string{}, here: map[string]bool{}, said: map[string]bool{}}
	for _, is := range d.here.policies {
		p.here[is.Label], p.texts[is.Label] = true, text(is.PolicySpec)
		if m := is.Labels[policyLabel]; m != "" {
			p.byMark[m] = is.Label
		}
		if _, twice := p.byText[text(is.PolicySpec)]; !twice {
			p.byText[text(is.PolicySpec)] = is.Label
		}
	}
	return p
}

func text(s client.PolicySpec) string {
	b, _ := json.Marshal(s) // it is made of texts alone
	return string(b)
}

// of is the label of the policy that says what two quartets say; note is what it
// cannot say of them.
func (p *policies) of(primary petersslers.Quartet, backup *petersslers.Quartet) (label, note string, err error) {
	spec, err := p.d.spec(primary, "primary")
	if err != nil {
		return "", "", err
	}
	spec.ChainIssuer = p.d.chain
	if backup != nil {
		second, err := p.d.spec(*backup, "backup")
		switch {
		case err != nil:
			note = "without its backup: " + err.Error()
		case second.Authorities[0] == spec.Authorities[0]:
			note = "without its backup, which is at the same CA"
		default:
			spec.Backup = &client.Backup{Authority: second.Authorities[0], Profile: second.Profile, KeyType: second.KeyType, KeyCycle: second.KeyCycle}
		}
	}
	return p.keep(spec), note, nil
}

// spec is what a quartet says.
func (d *drawer) spec(q petersslers.Quartet, role string) (client.PolicySpec, error) {
	a, ok := d.accounts[q.AccountID]
	switch {
	case q.Unknown:
		return client.PolicySpec{}, fmt.Errorf("its key technology or cycle for the %s certificate is not known", role)
	case !ok || q.AccountID == 0:
		return client.PolicySpec{}, fmt.Errorf("its account %d for the %s certificate is not there", q.AccountID, role)
	case d.authorities[a.ServerID] == "":
		return client.PolicySpec{}, fmt.Errorf("the ACME server of its account %d for the %s certificate is not there", q.AccountID, role)
	}
	typ := q.KeyType
	if global, ok := d.systems["global"]; q.System && ok {
		if typ = global.Primary.KeyType; role == "backup" && global.Backup != nil {
			typ = global.Backup.KeyType
		}
	}
	return client.PolicySpec{Authorities: []string{d.authorities[a.ServerID]}, KeyType: string(typ), KeyCycle: string(q.KeyCycle), Profile: q.Profile}, nil
}

// keep plans the policy that says so, unless there is one, and answers its label.
func (p *policies) keep(s client.PolicySpec) string {
	said := text(s)
	mark := markOf(said)
	label, known := p.byText[said]
	if !known {
		label, known = p.byMark[mark]
	}
	if known {
		return p.there(label, said)
	}
	label = wordsOf(s)
	if p.here[label] || p.said[label] {
		label += "-" + mark
	}
	p.byText[said], p.texts[label], p.said[label] = label, said, true
	p.d.put(Item{Noun: Policy, Label: label, State: Add, act: func(ctx context.Context) error {
		_, err := p.d.c.AddPolicy(ctx, client.Policy{Label: label, Labels: map[string]string{policyLabel: mark}, PolicySpec: s})
		return err
	}})
	return label
}

// there notes once that a policy is here.
func (p *policies) there(label, said string) string {
	if p.said[label] {
		return label
	}
	p.said[label] = true
	note := ""
	if _, same := p.byText[said]; !same {
		note = "it was changed here, and stays so"
	}
	p.d.put(Item{Noun: Policy, Label: label, State: There, Note: note})
	return label
}

func markOf(said string) string {
	sum := sha256.Sum256([]byte(said))
	return hex.EncodeToString(sum[:4])
}

// wordsOf is a label that says what a policy says.
func wordsOf(s client.PolicySpec) string {
	words := []string{s.Authorities[0]}
	add := func(profile, typ, cycle string) {
		for _, w := range []string{strings.Replace(profile, "@", "account-profile", 1), typ, cycle} {
			if w = labelOf(w); w != "" {
				words = append(words, w)
			}
		}
	}
	add(s.Profile, s.KeyType, s.KeyCycle)
	if b := s.Backup; b != nil {
		words = append(words, "backup", b.Authority)
		add(b.Profile, b.KeyType, b.KeyCycle)
	}
	if s.ChainIssuer != "" {
		words = append(words, "chain")
	}
	return clipped(strings.Join(words, "-"), 200)
}

// drawPreference reads which chains are preferred. The original has a preference
// from the start and never follows it, so that it counts only by choice.
func (d *drawer) drawPreference(ctx context.Context) error {
	list, err := d.src.Preferred(ctx)
	if err != nil {
		return err
	}
	for i, pem := range list {
		certs, err := pki.ParseCertificates([]byte(pem))
		switch {
		case err != nil:
			d.skip(Rest, 0, fmt.Sprintf("chain preference %d", i+1), "its certificate cannot be read: "+err.Error(), "")
		case !d.opt.Chains:
			d.skip(Rest, 0, "chain preference "+certs[0].Subject.CommonName, "peter_sslers has it from the start and never follows it", "add --chains to prefer chains with this issuer")
		case d.chain != "":
			d.skip(Rest, 0, "chain preference "+certs[0].Subject.CommonName, "a policy prefers one issuer, and "+d.chain+" comes first", "")
		default:
			d.chain = certs[0].Subject.CommonName
			d.put(Item{Noun: Rest, Label: "chain preference " + d.chain, State: There, Reason: "it is in the policies of this plan"})
		}
	}
	return nil
}
