package api

// Fleet is a declaration of what there is to be. What it does not name stays
// as it is.
type Fleet struct {
	Authorities    []Authority        `json:"authorities,omitempty"`
	Accounts       []FleetAccount     `json:"accounts,omitempty"`
	LimitOverrides []LimitOverride    `json:"limit_overrides,omitempty"`
	Policies       []Policy           `json:"policies,omitempty"`
	Defaults       []DefaultPolicy    `json:"defaults,omitempty"`
	Targets        []Target           `json:"targets,omitempty"`
	Factories      []Factory          `json:"factories,omitempty"`
	Blocklist      []Blocked          `json:"blocklist,omitempty"`
	Certificates   []FleetCertificate `json:"certificates,omitempty"`
}

// FleetAccount declares an account. One that exists keeps its key and binding.
type FleetAccount struct {
	Label      string            `json:"label,omitempty" doc:"Empty means the authority's label."`
	Authority  string            `json:"authority"`
	Contact    []string          `json:"contact,omitempty"`
	Agree      bool              `json:"agree,omitempty" doc:"The CA's terms are agreed to."`
	EABKeyID   string            `json:"eab_key_id,omitempty"`
	EABHMACKey string            `json:"eab_hmac_key,omitempty" writeOnly:"true"`
	Labels     map[string]string `json:"labels,omitempty"`
	Defaults   *AccountDefaults  `json:"defaults,omitempty" doc:"What its orders are like where their policy leaves it to the account. All of them are as given."`
}

// FleetCertificate declares a certificate.
type FleetCertificate struct {
	Label     string            `json:"label,omitempty" doc:"Empty means its first name."`
	Names     []string          `json:"names"`
	Policy    string            `json:"policy,omitempty"`
	Targets   []string          `json:"targets,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Challenge string            `json:"challenge,omitempty"`
	Solver    string            `json:"solver,omitempty"`
	State     string            `json:"state,omitempty" enum:"active,paused,removed" doc:"Empty leaves it as it is."`
}

// ApplyQuery says how a declaration is applied.
type ApplyQuery struct {
	DryRun bool `query:"dry_run" doc:"Only say what would change."`
}

// Applied is what a declaration changed, or would.
type Applied struct {
	DryRun  bool     `json:"dry_run,omitempty"`
	Changes []Change `json:"changes" doc:"What differs from what there was." nullable:"false"`
	Same    int      `json:"same" doc:"How many objects were as declared."`
}

// Change is one object that differs.
type Change struct {
	Kind   string        `json:"kind" enum:"authority,account,override,policy,default,target,factory,blocked,certificate"`
	Label  string        `json:"label"`
	Action string        `json:"action" enum:"create,update,remove"`
	Fields []FieldChange `json:"fields,omitempty" nullable:"false"`
}

// FieldChange is one field that differs.
type FieldChange struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}
