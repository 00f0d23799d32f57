package certfleet

import (
	"fmt"
	"slices"
	"strings"
)

// Factory is how customers' domains become certificates, all after one pattern.
type Factory struct {
	ID     int64
	Tenant int64
	Label  string
	Labels Labels
	Spec   FactorySpec
}

// FactorySpec is what a factory says; it is stored as JSON and only ever grows.
// A template has {DOMAIN} for the domain, and {NIAMOD} for it with its labels
// reversed: com.example.shop for shop.example.com.
type FactorySpec struct {
	// Policy by label, empty for the default policy of the purpose global.
	Policy string `json:"policy,omitempty"`
	// HTTP01 and DNS01 are templates of the names that are proved so.
	HTTP01 []string `json:"domain_template_http01,omitempty"`
	DNS01  []string `json:"domain_template_dns01,omitempty"`
	// Solver by label for dns-01, empty for the only one there is.
	Solver string `json:"solver,omitempty"`
	// LabelTemplate makes the certificate's label, empty for {NIAMOD}.
	LabelTemplate string `json:"label_template,omitempty"`
	// Targets that the certificates are brought to, by label.
	Targets []string `json:"targets,omitempty"`
	// CertificateLabels are put on each certificate.
	CertificateLabels Labels `json:"certificate_labels,omitempty"`
	Note              string `json:"note,omitempty"`
	// Duplicates says what a name in both templates means, empty for no_duplicates.
	Duplicates DuplicateStrategy `json:"duplicate_challenges,omitempty"`
}

// DuplicateStrategy says what it means that a name is listed for both challenge
// types.
type DuplicateStrategy string

// The strategies. The first of two types is used; the second is for the try
// after one that failed.
const (
	NoDuplicates  DuplicateStrategy = "no_duplicates" // it is a mistake
	HTTP01ThenDNS DuplicateStrategy = "http_01__dns_01"
	DNS01ThenHTTP DuplicateStrategy = "dns_01__http_01"
)

// DuplicateStrategies are all of them, the default first.
var DuplicateStrategies = []DuplicateStrategy{NoDuplicates, HTTP01ThenDNS, DNS01ThenHTTP}

// ParseDuplicateStrategy reads an operator's word; empty stays empty.
func ParseDuplicateStrategy(s string) (DuplicateStrategy, error) {
	d := DuplicateStrategy(strings.ToLower(strings.TrimSpace(s)))
	if d == "" || slices.Contains(DuplicateStrategies, d) {
		return d, nil
	}
	return "", &Error{Kind: Invalid, Msg: fmt.Sprintf("duplicate-challenge strategy %q is not known", s), Advice: "use one of no_duplicates, http_01__dns_01, dns_01__http_01"}
}

// NameProof is a name, how it is proved, and how it is proved on the try after a
// failed one; an empty Second means the same way.
type NameProof struct {
	Name   Name
	First  ChallengeType
	Second ChallengeType
}

// Enrollment is what a factory makes of a domain.
type Enrollment struct {
	Domain Name
	Label  string
	Proofs []NameProof
}

// Names are the names of the certificate, those of the http-01 template first.
func (e *Enrollment) Names() []Name {
	out := make([]Name, len(e.Proofs))
	for i, p := range e.Proofs {
		out[i] = p.Name
	}
	return out
}

// The placeholders of templates.
const (
	holdDomain = "{DOMAIN}"
	holdNiamod = "{NIAMOD}"
)

// DefaultLabelTemplate is the label template of a factory that gives none.
const DefaultLabelTemplate = holdNiamod

// ParseTemplates reads templates that are separated by commas, spaces or lines.
func ParseTemplates(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
}

// Check refuses templates that could not be expanded for any domain.
func (s *FactorySpec) Check() error {
	if len(s.HTTP01)+len(s.DNS01) == 0 {
		return noTemplate("it has no template for names", "give a template for http-01 or for dns-01, such as {DOMAIN} or www.{DOMAIN}")
	}
	if l := s.LabelTemplate; l != "" && !strings.Contains(l, holdDomain) && !strings.Contains(l, holdNiamod) {
		return noTemplate(fmt.Sprintf("the label template %q is the same for every domain", l), "write {DOMAIN} or {NIAMOD} in it")
	}
	if !slices.ContainsFunc(slices.Concat(s.HTTP01, s.DNS01), func(t string) bool { return strings.Contains(t, holdDomain) || strings.Contains(t, holdNiamod) }) {
		return noTemplate("its templates are the same for every domain", "write {DOMAIN} in one of them")
	}
	_, err := s.Expand("customer.example")
	return err
}

func noTemplate(why, advice string) error {
	return &Error{Kind: Invalid, Msg: "the factory cannot be used: " + why, Advice: advice}
}

// Expand is what the factory makes of a domain.
func (s *FactorySpec) Expand(domain string) (*Enrollment, error) {
	d, err := ParseName(domain)
	if err != nil {
		return nil, err
	}
	if d.IsIP() || d.IsWildcard() {
		return nil, &Error{Kind: Invalid, Msg: fmt.Sprintf("%s is no domain that a factory takes", d), Advice: "give a host name without a star; a template for dns-01 may add one"}
	}
	e := &Enrollment{Domain: d, Label: d.fill(s.LabelTemplate)}
	if e.Label == "" {
		e.Label = d.fill(DefaultLabelTemplate)
	}
	http, err := expand(s.HTTP01, d, HTTP01)
	if err != nil {
		return nil, err
	}
	dns, err := expand(s.DNS01, d, DNS01)
	if err != nil {
		return nil, err
	}
	e.Proofs, err = s.Duplicates.join(http, dns)
	return e, err
}

// fill puts the domain in the place of the placeholders.
func (n Name) fill(template string) string {
	labels := strings.Split(n.s, ".")
	slices.Reverse(labels)
	return strings.NewReplacer(holdDomain, n.s, holdNiamod, strings.Join(labels, ".")).Replace(template)
}

// expand makes names of templates that are proved by one challenge type.
func expand(templates []string, d Name, typ ChallengeType) ([]Name, error) {
	filled := make([]string, len(templates))
	for i, t := range templates {
		filled[i] = d.fill(t)
	}
	names, err := ParseNames(filled)
	if err != nil {
		return nil, fmt.Errorf("template for %s: %w", typ, err)
	}
	for _, n := range names {
		switch {
		case n.IsWildcard() && typ == HTTP01:
			return nil, &Error{Kind: Invalid, Msg: fmt.Sprintf("%s cannot be proved by http-01", n), Advice: "move it to the template for dns-01"}
		case n.IsIP():
			return nil, &Error{Kind: Invalid, Msg: fmt.Sprintf("the template for %s makes the address %s", typ, n), Advice: "write host names in templates"}
		}
	}
	return names, nil
}

// join puts both lists together; a name that is in both is proved as the
// strategy says.
func (d DuplicateStrategy) join(http, dns []Name) ([]NameProof, error) {
	var out []NameProof
	for _, n := range http {
		p := NameProof{Name: n, First: HTTP01}
		if slices.Contains(dns, n) {
			switch d {
			case HTTP01ThenDNS:
				p.Second = DNS01
			case DNS01ThenHTTP:
				p.First, p.Second = DNS01, HTTP01
			default:
				return nil, &Error{Kind: Invalid, Msg: fmt.Sprintf("%s is listed for http-01 and for dns-01", n), Advice: "take it out of one template, or set the duplicate-challenge strategy to http_01__dns_01 or dns_01__http_01"}
			}
		}
		out = append(out, p)
	}
	for _, n := range dns {
		if !slices.Contains(http, n) {
			out = append(out, NameProof{Name: n, First: DNS01})
		}
	}
	return out, nil
}
