package api

// DefaultPolicy says which policy counts for a purpose where none is named.
type DefaultPolicy struct {
	Purpose string `json:"purpose" enum:"global,autocert,certificate-if-needed" doc:"Global is what factories and system_configuration_default mean, autocert is for orders on demand."`
	Policy  string `json:"policy" doc:"The label of the policy; empty means that none was set, and the policy called default counts."`
}

// Defaults are the default policies of all purposes.
type Defaults struct {
	Defaults []DefaultPolicy `json:"defaults" nullable:"false"`
}

// AccountDefaults are what orders with an account are like where their policy
// leaves it to the account.
type AccountDefaults struct {
	KeyCycle string `json:"key_cycle,omitempty" doc:"What account_default means as a key cycle."`
	KeyType  string `json:"key_type,omitempty" doc:"The key type of policies that name none."`
	Profile  string `json:"profile,omitempty" doc:"What the profile @ means."`
}

// AccountChange changes what is present in it.
type AccountChange struct {
	KeyCycle *string `json:"key_cycle,omitempty"`
	KeyType  *string `json:"key_type,omitempty"`
	Profile  *string `json:"profile,omitempty"`
}
