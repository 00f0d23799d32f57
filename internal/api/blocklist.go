package api

import "time"

// Blocked is what is never to be ordered.
type Blocked struct {
	Kind      string    `json:"kind" enum:"name,domain,suffix" doc:"A name itself, a registered domain with all below it, or a suffix with all below it."`
	Pattern   string    `json:"pattern" minLength:"1" maxLength:"253"`
	Note      string    `json:"note,omitempty" maxLength:"1000"`
	Actor     string    `json:"actor,omitempty" readOnly:"true"`
	CreatedAt time.Time `json:"created_at,omitzero" readOnly:"true"`
}

// BlockedQuery names one entry of the blocklist.
type BlockedQuery struct {
	Kind    string `query:"kind" required:"true" enum:"name,domain,suffix"`
	Pattern string `query:"pattern" required:"true"`
}
