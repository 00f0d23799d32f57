package certfleet

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// KeyType is an algorithm and size for a certificate's or account's key.
type KeyType string

// The key types that CAs of the web sign.
const (
	P256    KeyType = "p256"
	P384    KeyType = "p384"
	RSA2048 KeyType = "rsa2048"
	RSA3072 KeyType = "rsa3072"
	RSA4096 KeyType = "rsa4096"
)

// KeyTypes are all of them, the default first.
var KeyTypes = []KeyType{P256, P384, RSA2048, RSA3072, RSA4096}

// ParseKeyType reads an operator's word; empty means P-256.
func ParseKeyType(s string) (KeyType, error) {
	k := KeyType(strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s)))
	switch {
	case k == "":
		return P256, nil
	case slices.Contains(KeyTypes, k):
		return k, nil
	}
	return "", &Error{Kind: Invalid, Msg: fmt.Sprintf("key type %q is not known", s), Advice: "use one of p256, p384, rsa2048, rsa3072, rsa4096"}
}

// ChallengeType is how control of a name is proved to a CA.
type ChallengeType string

// The challenge types that can be solved (RFC 8555 section 8, RFC 8737).
const (
	HTTP01    ChallengeType = "http-01"
	DNS01     ChallengeType = "dns-01"
	TLSALPN01 ChallengeType = "tls-alpn-01"
)

// ChallengeTypes are all of them, the default first.
var ChallengeTypes = []ChallengeType{HTTP01, DNS01, TLSALPN01}

// ParseChallengeType reads an operator's word; empty stays empty (the default
// of whoever asks).
func ParseChallengeType(s string) (ChallengeType, error) {
	c := ChallengeType(strings.ToLower(s))
	if c == "" || slices.Contains(ChallengeTypes, c) {
		return c, nil
	}
	return "", &Error{Kind: Invalid, Msg: fmt.Sprintf("challenge type %q is not known", s), Advice: "use one of http-01, dns-01, tls-alpn-01"}
}

// Policy is how a certificate is to be got. Its zero fields mean the default.
type Policy struct {
	ID     int64
	Tenant int64
	Label  string
	Labels Labels
	Spec   PolicySpec
}

// PolicySpec is what a policy says; it is stored as JSON and only ever grows.
type PolicySpec struct {
	// Authorities by label, the first is used first.
	Authorities []string `json:"authorities,omitempty"`
	// Profile is the CA's certificate profile, empty for the CA's default and
	// ProfileOfAccount for what the account says.
	Profile string `json:"profile,omitempty"`
	// KeyType of new keys, empty for p256.
	KeyType KeyType `json:"key_type,omitempty"`
	// Challenge type, empty for http-01 (dns-01 for wildcards).
	Challenge ChallengeType `json:"challenge,omitempty"`
	// Solver by label for the challenge type, empty for the only one there is.
	Solver string `json:"solver,omitempty"`
	// ChainIssuer prefers the chain whose topmost issuer has this common name.
	ChainIssuer string `json:"chain_issuer,omitempty"`
	// ReuseKey keeps the key of the version before.
	ReuseKey bool `json:"reuse_key,omitempty"`
	// KeyCycle says how long a key is kept and who shares it, empty for what
	// ReuseKey says.
	KeyCycle KeyCycle `json:"key_cycle,omitempty"`
	// Backup says from where a second certificate is kept warm, nil for none.
	Backup *BackupSpec `json:"backup,omitempty"`
	// Validity asks for a lifetime by notAfter where the CA allows it.
	Validity Duration `json:"validity,omitempty"`
}

// Duration is a time.Duration that reads and writes as text ("36h").
type Duration time.Duration

// MarshalText writes Go's duration form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads Go's duration form, and whole days as "7d".
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); n == 1 && err == nil && s == fmt.Sprintf("%dd", days) {
		*d = Duration(time.Duration(days) * 24 * time.Hour)
		return nil
	}
	t, err := time.ParseDuration(s)
	if err != nil {
		return &Error{Kind: Invalid, Msg: fmt.Sprintf("%q is not a duration", s), Advice: `write a number with a unit, such as 90s, 15m, 36h or 7d`}
	}
	*d = Duration(t)
	return nil
}

// Authority is a CA that speaks ACME.
type Authority struct {
	ID           int64
	Tenant       int64
	Label        string
	DirectoryURL string
	TrustPEM     string // a private bundle to trust for its API; empty for the system's
	Unverified   bool   // a built-in entry that nobody here has run against the real CA
	EAB          bool   // it requires external account binding
	Note         string
	Labels       Labels
}

// AccountState is where an account stands.
type AccountState string

// The states of an account.
const (
	AccountWanted      AccountState = "wanted"      // not yet registered
	AccountValid       AccountState = "valid"       // registered, in use
	AccountDeactivated AccountState = "deactivated" // given up for good
)

// Account is us at an authority.
type Account struct {
	ID          int64
	Tenant      int64
	AuthorityID int64
	Label       string
	Contact     []string // URLs such as mailto:tls@example.com
	URL         string
	KeyID       int64
	NextKeyID   int64 // a key rollover that was begun and not yet seen done
	State       AccountState
	AgreedAt    time.Time // when the CA's terms were agreed to
	EABKeyID    string
	EABSealed   []byte // the binding's HMAC key, sealed; cleared once registered
	Problem     string
	Labels      Labels
	CreatedAt   time.Time
	Rev         int64
}
