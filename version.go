package certfleet

import "time"

// Version is one issued chain. Its key may be ours, another's, or absent.
type Version struct {
	ID            int64
	Tenant        int64
	CertificateID int64 // zero for an import that belongs to none
	OrderID       int64
	KeyID         int64  // zero when the key is not here
	Origin        string // issued or imported
	Names         []Name
	Serial        string // lower-case hex
	Fingerprint   string // SHA-256 of the leaf, lower-case hex
	SPKI          string // SHA-256 of the subject public key info, lower-case hex
	Issuer        string // its common name
	IssuerName    string // all of its name (RFC 2253), for searching; known when it comes in only
	Subject       string
	AuthorityID   int64
	Profile       string
	NotBefore     time.Time
	NotAfter      time.Time
	ChainPEM      []byte // leaf first, as delivered by the CA
	RevokedAt     time.Time
	RevokeReason  int
	ReplacedBy    int64

	// Renewal information (RFC 9773).
	ARIID      string
	ARIStart   time.Time
	ARIEnd     time.Time
	ARIAt      time.Time // the one instant drawn in the window
	ARIURL     string    // the CA's explanation
	ARIPollAt  time.Time
	ARIProblem string
	CreatedAt  time.Time
	Rev        int64
}

// Chain is one way from a version's leaf to a root; position 0 is the CA's default.
type Chain struct {
	VersionID int64
	Position  int
	Issuer    string // common name of the topmost issuer
	PEM       []byte
}

// Custody says who can open a private key.
type Custody string

// Where a private key lives.
const (
	CustodyCentral  Custody = "central"  // sealed in our database
	CustodyExternal Custody = "external" // somewhere else; we hold only the public part
)

// Key is a private key with its custody and its story.
type Key struct {
	ID            int64
	Tenant        int64
	Use           string // certificate or account
	Type          KeyType
	SPKI          string // SHA-256 of the subject public key info, lower-case hex
	Custody       Custody
	Origin        string // generated, imported
	OrderID       int64  // the order it was made for
	ReplacesKeyID int64
	DataKeyID     int64
	Sealed        []byte
	CompromisedAt time.Time
	CreatedAt     time.Time
}
