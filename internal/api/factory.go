package api

// Factory is how customers' domains become certificates.
type Factory struct {
	ID     int64             `json:"id,omitempty" readOnly:"true"`
	Label  string            `json:"label" doc:"What people call it; unique."`
	Labels map[string]string `json:"labels,omitempty"`
	FactorySpec
}

// FactorySpec is what a factory says. Templates have {DOMAIN} for the domain and
// {NIAMOD} for it with its labels reversed.
type FactorySpec struct {
	Policy            string            `json:"policy,omitempty" doc:"The label of the policy; empty means the default policy for global."`
	PolicyParts       *PolicySpec       `json:"policy_parts,omitempty" writeOnly:"true" doc:"In place of a policy: what one of its own says, which is kept as policy factory-LABEL."`
	HTTP01            []string          `json:"domain_template_http01,omitempty" doc:"Templates of the names that are proved by http-01, such as {DOMAIN} and www.{DOMAIN}."`
	DNS01             []string          `json:"domain_template_dns01,omitempty" doc:"Templates of the names that are proved by dns-01, such as *.{DOMAIN}."`
	Solver            string            `json:"solver,omitempty" doc:"The label of the solver for dns-01; empty means the only one there is."`
	LabelTemplate     string            `json:"label_template,omitempty" doc:"Template of the certificate's label; empty means {NIAMOD}."`
	Targets           []string          `json:"targets,omitempty" doc:"The labels of the targets that the certificates are brought to."`
	CertificateLabels map[string]string `json:"certificate_labels,omitempty" doc:"Labels of each certificate, besides factory=LABEL."`
	Note              string            `json:"note,omitempty" maxLength:"1000"`
	Duplicates        string            `json:"duplicate_challenges,omitempty" enum:"no_duplicates,http_01__dns_01,dns_01__http_01" doc:"What a name in both templates means: a mistake, or the first of two challenge types, of which the second is for the try after one that failed. Empty means no_duplicates."`
}

// Onboarding asks a factory for certificates.
type Onboarding struct {
	Domains []string `json:"domains" minItems:"1" maxItems:"1000" doc:"The domains, without a star."`
	Note    string   `json:"note,omitempty" maxLength:"1000" doc:"It is kept with the event."`
	Update  bool     `json:"update,omitempty" doc:"Change a certificate that has the label already."`
	DryRun  bool     `json:"dry_run,omitempty" doc:"Only say what would be made."`
}

// Onboarded is what came of each domain.
type Onboarded struct {
	Factory string       `json:"factory"`
	DryRun  bool         `json:"dry_run,omitempty"`
	Created int          `json:"created"`
	Changed int          `json:"changed"`
	Failed  int          `json:"failed"`
	Domains []Enrollment `json:"domains" nullable:"false"`
}

// Enrollment is what a factory makes of one domain.
type Enrollment struct {
	Domain      string         `json:"domain"`
	Label       string         `json:"label,omitempty" doc:"The certificate's label."`
	Policy      string         `json:"policy,omitempty"`
	Names       []EnrolledName `json:"names,omitempty" nullable:"false"`
	Certificate *Certificate   `json:"certificate,omitempty" doc:"The certificate, if there is one."`
	Created     bool           `json:"created,omitempty"`
	Changed     bool           `json:"changed,omitempty"`
	OrderID     int64          `json:"order_id,omitempty"`
	Overlaps    []Overlap      `json:"overlaps,omitempty" nullable:"false"`
	Problem     string         `json:"problem,omitempty" doc:"Why it was refused."`
	Advice      string         `json:"advice,omitempty"`
}

// EnrolledName is one name and how it is proved.
type EnrolledName struct {
	Name      string `json:"name"`
	Challenge string `json:"challenge"`
	Second    string `json:"second_challenge,omitempty" doc:"How it is proved on the try after a failure that it may be spared: a closed port, a wrong answer, no TXT record."`
}

// EnrolledQuery asks what a factory makes of a domain, or has made.
type EnrolledQuery struct {
	ID     string `path:"id"`
	Domain string `query:"domain" required:"true"`
}
