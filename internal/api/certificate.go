package api

import "time"

// Certificate is what an operator asks for: names that are to be kept on a
// valid certificate, and how. Its versions come and go.
type Certificate struct {
	ID        int64             `json:"id"`
	Label     string            `json:"label" doc:"What people call it; unique."`
	Names     []string          `json:"names" doc:"Host names in A-label form, wildcards, IP addresses." nullable:"false"`
	Policy    string            `json:"policy" doc:"The label of the policy that says how it is got."`
	Targets   []string          `json:"targets" doc:"The labels of the targets it is delivered to." nullable:"false"`
	Labels    map[string]string `json:"labels" doc:"The operator's own words."`
	State     string            `json:"state" enum:"active,paused,parked,removed" doc:"Paused is an operator's stop, parked is ours."`
	DueAt     time.Time         `json:"due_at,omitzero" doc:"When the next order opens; absent while one is open or none is wanted."`
	DueReason string            `json:"due_reason,omitempty" doc:"Why then."`
	Lane      string            `json:"lane" doc:"How urgent it is: emergency, expiring, waiting, new, routine or backfill."`
	Failures  int               `json:"failures" doc:"Orders that failed in a row."`
	Problem   string            `json:"problem,omitempty" doc:"What went wrong last, as the CA said it."`
	Advice    string            `json:"advice,omitempty" doc:"What to do about it."`
	FailedAt  time.Time         `json:"failed_at,omitzero"`
	VersionID int64             `json:"version_id,omitempty" doc:"The version in use."`
	NotAfter  time.Time         `json:"not_after,omitzero" doc:"Until when the version in use is valid."`
	CreatedAt time.Time         `json:"created_at"`
	Rev       int64             `json:"rev" doc:"Rises with every change."`

	External   string    `json:"external,omitempty" doc:"Who renews it in our place, such as certbot. It is paused here; to resume it makes it ours."`
	ExternalAt time.Time `json:"external_at,omitzero" doc:"When a version was last taken over from there."`
}

// CertificateQuery narrows a list of certificates.
type CertificateQuery struct {
	Paging
	Labelled
	State         string `query:"state" doc:"active, paused, external (paused, and somebody else renews it), parked, removed, failing, due, none (no version yet) or all; empty means all but removed."`
	DueWithin     string `query:"due_within" doc:"Its next order opens within this time, such as 36h or 7d."`
	ExpiresWithin string `query:"expires_within" doc:"Its version in use expires within this time."`
	Issuer        string `query:"issuer" doc:"Part of the name of the issuer of the version in use, from the start of a word, such as R11 or let's encrypt."`
	Profile       string `query:"profile" doc:"The CA's profile of the version in use."`
	Policy        string `query:"policy" doc:"The label of its policy."`
	Target        string `query:"target" doc:"The label of one of its targets."`
}

// NewCertificate asks for a certificate.
type NewCertificate struct {
	Label     string            `json:"label,omitempty" doc:"What to call it; empty means its first name."`
	Names     []string          `json:"names" doc:"The names it is for, the first one first."`
	Policy    string            `json:"policy,omitempty" doc:"The label of a policy; empty means default."`
	Targets   []string          `json:"targets,omitempty" doc:"The labels of the targets to deliver to."`
	Labels    map[string]string `json:"labels,omitempty"`
	Challenge string            `json:"challenge,omitempty" doc:"How its names are proved: http-01, dns-01 or tls-alpn-01; empty means as the policy says."`
	Solver    string            `json:"solver,omitempty" doc:"The label of the solver for that challenge."`
	Proofs    []EnrolledName    `json:"proofs,omitempty" doc:"How single names are proved, in place of challenge; a solver is for those by dns-01. Names that are not in it stay as they are."`
	Lane      string            `json:"lane,omitempty" enum:"emergency,waiting,new,backfill" doc:"How urgent the first order is; empty means new."`
	Paused    bool              `json:"paused,omitempty" doc:"Only note it; nothing is ordered until it is resumed."`
	Manual    bool              `json:"manual,omitempty" doc:"Open an order that advances by request only."`
	Update    bool              `json:"update,omitempty" doc:"Change the certificate that has this label already, instead of answering a conflict."`
}

// CertificateChange changes what is present in it; the rest stays.
type CertificateChange struct {
	Names     *[]string          `json:"names,omitempty" doc:"A changed set of names is ordered at once."`
	Policy    *string            `json:"policy,omitempty"`
	Targets   *[]string          `json:"targets,omitempty" doc:"A new target gets the version in use at once."`
	Labels    *map[string]string `json:"labels,omitempty" doc:"Replaces all labels."`
	Challenge *string            `json:"challenge,omitempty" doc:"Sets how each of its names is proved; empty means as the policy says."`
	Solver    *string            `json:"solver,omitempty"`
}

// CertificateAnswer is a certificate after something was done to it.
type CertificateAnswer struct {
	Certificate
	Created  bool      `json:"created,omitempty" doc:"It was not there before."`
	Changed  bool      `json:"changed,omitempty" doc:"Something was written."`
	OrderID  int64     `json:"order_id,omitempty" doc:"The order that is on its way."`
	Overlaps []Overlap `json:"overlaps,omitempty" doc:"Names that other certificates have too. That is allowed; each counts against the CA's limits." nullable:"false"`
}

// Overlap is a name that another certificate has too.
type Overlap struct {
	Name        string `json:"name"`
	Certificate string `json:"certificate" doc:"The other certificate's label."`
	By          string `json:"by" doc:"The other's name that covers it."`
}

// Renewal asks for a new version now.
type Renewal struct {
	Emergency bool `json:"emergency,omitempty" doc:"Goes before everything else: revoked, or a key is compromised."`
	Force     bool `json:"force,omitempty" doc:"Resumes a paused certificate."`
	Manual    bool `json:"manual,omitempty" doc:"Opens an order that advances by request only."`
}

// Domain is what is known of a name.
type Domain struct {
	ID           int64             `json:"id"`
	Name         string            `json:"name"`
	Registered   string            `json:"registered" doc:"The registered domain, on which CAs count."`
	Source       string            `json:"source,omitempty" doc:"Who named it: operator, or a source's label."`
	Challenge    string            `json:"challenge,omitempty" doc:"How it is proved; absent means as the policy says."`
	Solver       string            `json:"solver,omitempty"`
	ParkedAt     time.Time         `json:"parked_at,omitzero" doc:"Since when nothing is ordered for it."`
	ParkedReason string            `json:"parked_reason,omitempty"`
	Labels       map[string]string `json:"labels"`
	CreatedAt    time.Time         `json:"created_at"`
}

// DomainQuery narrows a list of domains.
type DomainQuery struct {
	Paging
	Labelled
	Part string `query:"part" doc:"Part of the name, from the start of a label."`
}

// DomainChange changes what is present in it.
type DomainChange struct {
	Challenge *string            `json:"challenge,omitempty" doc:"http-01, dns-01 or tls-alpn-01; empty means as the policy says."`
	Solver    *string            `json:"solver,omitempty"`
	Labels    *map[string]string `json:"labels,omitempty" doc:"Replaces all labels."`
}
