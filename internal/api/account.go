package api

import "time"

// Account is us at an authority.
type Account struct {
	ID         int64             `json:"id"`
	Label      string            `json:"label"`
	Authority  string            `json:"authority" doc:"The authority's label."`
	Contact    []string          `json:"contact" doc:"URLs such as mailto:tls@example.com." nullable:"false"`
	URL        string            `json:"url,omitempty" doc:"Its URL at the CA; absent until it is registered."`
	State      string            `json:"state" enum:"wanted,valid,deactivated"`
	AgreedAt   time.Time         `json:"agreed_at,omitzero" doc:"When the CA's terms were agreed to."`
	EABKeyID   string            `json:"eab_key_id,omitempty" doc:"The key id of its external account binding."`
	KeyID      int64             `json:"key_id,omitempty"`
	RollingKey bool              `json:"rolling_key,omitempty" doc:"A key rollover was begun and not yet seen done."`
	Problem    string            `json:"problem,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Defaults   *AccountDefaults  `json:"defaults,omitempty" doc:"What its orders are like where their policy leaves it to the account."`
	CreatedAt  time.Time         `json:"created_at"`
	Rev        int64             `json:"rev"`
}

// NewAccount asks for an account at an authority, or brings one along with its key.
type NewAccount struct {
	Label      string            `json:"label,omitempty" doc:"What to call it; empty means the authority's label."`
	Authority  string            `json:"authority" doc:"The authority's label."`
	Contact    []string          `json:"contact,omitempty" doc:"Addresses, as mailto: URLs or plain."`
	Agree      bool              `json:"agree,omitempty" doc:"The CA's terms are agreed to."`
	EABKeyID   string            `json:"eab_key_id,omitempty" doc:"The key id of an external account binding, as the CA gave it."`
	EABHMACKey string            `json:"eab_hmac_key,omitempty" writeOnly:"true" doc:"Its HMAC key, base64url as the CA gave it. It is sealed at once and forgotten when the account is registered."`
	URL        string            `json:"url,omitempty" doc:"Of an account that exists: its URL at the CA; empty asks the CA."`
	Key        string            `json:"key,omitempty" writeOnly:"true" doc:"Of an account that exists: its private key, as PEM or JWK. It is sealed at once."`
	Labels     map[string]string `json:"labels,omitempty"`
	Later      bool              `json:"later,omitempty" doc:"Do not register now; the first order does."`
}

// Contact is whom a CA may write to.
type Contact struct {
	Contact []string `json:"contact" doc:"Addresses, as mailto: URLs or plain; none removes them."`
}

// Rollover asks for a new account key.
type Rollover struct {
	KeyType string `json:"key_type,omitempty" doc:"p256, p384, rsa2048, rsa3072 or rsa4096; empty means p256."`
}
