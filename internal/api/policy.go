package api

// Policy is how certificates are to be got.
type Policy struct {
	ID     int64             `json:"id,omitempty" readOnly:"true"`
	Label  string            `json:"label" doc:"What people call it; unique."`
	Labels map[string]string `json:"labels,omitempty"`
	PolicySpec
}

// PolicySpec is what a policy says. An empty field means the default.
type PolicySpec struct {
	Authorities []string `json:"authorities,omitempty" doc:"The labels of authorities; the first is used first."`
	Profile     string   `json:"profile,omitempty" doc:"The CA's certificate profile; empty means the CA's default, @ means the account's."`
	KeyType     string   `json:"key_type,omitempty" doc:"p256, p384, rsa2048, rsa3072 or rsa4096; empty means p256."`
	Challenge   string   `json:"challenge,omitempty" doc:"http-01, dns-01 or tls-alpn-01; empty means http-01, and dns-01 for wildcards."`
	Solver      string   `json:"solver,omitempty" doc:"The label of the solver; empty means the only one there is."`
	ChainIssuer string   `json:"chain_issuer,omitempty" doc:"Prefer the chain whose topmost issuer has this common name."`
	ReuseKey    bool     `json:"reuse_key,omitempty" doc:"Keep the key of the version before."`
	KeyCycle    string   `json:"key_cycle,omitempty" doc:"single_use, single_use__reuse_1_year, account_daily, account_weekly, global_daily, global_weekly, account_default or system_configuration_default; empty means what reuse_key says."`
	Backup      *Backup  `json:"backup,omitempty" doc:"From where a second certificate is kept warm."`
	Validity    string   `json:"validity,omitempty" doc:"Ask for this lifetime where the CA allows it, such as 36h or 7d."`
}

// PolicyChange changes what is present in it.
type PolicyChange struct {
	Labels      *map[string]string `json:"labels,omitempty"`
	Authorities *[]string          `json:"authorities,omitempty"`
	Profile     *string            `json:"profile,omitempty"`
	KeyType     *string            `json:"key_type,omitempty"`
	Challenge   *string            `json:"challenge,omitempty"`
	Solver      *string            `json:"solver,omitempty"`
	ChainIssuer *string            `json:"chain_issuer,omitempty"`
	ReuseKey    *bool              `json:"reuse_key,omitempty"`
	KeyCycle    *string            `json:"key_cycle,omitempty"`
	Backup      *Backup            `json:"backup,omitempty" doc:"An empty authority means none any more."`
	Validity    *string            `json:"validity,omitempty"`
}

// Authority is a CA that speaks ACME.
type Authority struct {
	ID           int64             `json:"id,omitempty" readOnly:"true"`
	Label        string            `json:"label" doc:"What people call it; unique."`
	DirectoryURL string            `json:"directory_url" doc:"Where its ACME directory is (RFC 8555 section 7.1.1)."`
	TrustPEM     string            `json:"trust_pem,omitempty" doc:"Certificates to trust for its API, instead of the system's."`
	Unverified   bool              `json:"unverified,omitempty" doc:"A built-in entry that was never run against the real CA."`
	EAB          bool              `json:"eab,omitempty" doc:"It requires external account binding (RFC 8555 section 7.3.4)."`
	Note         string            `json:"note,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
}

// AuthorityChange changes what is present in it.
type AuthorityChange struct {
	DirectoryURL *string            `json:"directory_url,omitempty"`
	TrustPEM     *string            `json:"trust_pem,omitempty"`
	EAB          *bool              `json:"eab,omitempty"`
	Note         *string            `json:"note,omitempty"`
	Labels       *map[string]string `json:"labels,omitempty"`
}

// Directory is what a CA says of itself now.
type Directory struct {
	TermsOfService          string            `json:"terms_of_service,omitempty" doc:"The URL of the terms to agree to."`
	Website                 string            `json:"website,omitempty"`
	CAAIdentities           []string          `json:"caa_identities,omitempty" doc:"The names it looks for in CAA records." nullable:"false"`
	ExternalAccountRequired bool              `json:"external_account_required,omitempty"`
	Profiles                map[string]string `json:"profiles,omitempty" doc:"Its certificate profiles and what they are."`
	RenewalInfo             bool              `json:"renewal_info,omitempty" doc:"It offers renewal information (RFC 9773)."`
}
