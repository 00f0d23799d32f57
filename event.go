package certfleet

import "time"

// Event is something that happened, once; it is written in the transaction
// that made it so.
type Event struct {
	ID            int64
	Xact          int64 // on PostgreSQL the writing transaction, else zero
	Tenant        int64
	At            time.Time
	Kind          string // noun.verb, such as order.failed
	CertificateID int64
	OrderID       int64
	VersionID     int64
	TargetID      int64
	Actor         string // token:LABEL, user:NAME or node:ID
	Msg           string
	Data          map[string]string
}

// Target is a place to deliver to, as stored.
type StoredTarget struct {
	ID     int64
	Tenant int64
	Label  string
	Type   string
	Spec   []byte   // JSON for the plugin's Config
	Probe  []string // addresses (host:port) at which the target serves
	Proof  Proof
	Labels Labels
	Paused bool
	Pace
	Rev int64
}

// Pace says how fast, with whom and after whom a target is delivered to.
type Pace struct {
	Group       string   // targets that belong together
	Canary      bool     // the rest of its group waits until this one was seen serving
	PushMode    PushMode // empty means parallel
	Concurrency int      // connections at a time from each node; zero means DefaultConcurrency
	Rate        int      // versions a minute; zero means as many as there are
}

// DefaultConcurrency is how many connections to a target are open at a time.
const DefaultConcurrency = 4

// PushMode says whether targets are delivered to at the same time.
type PushMode string

// The ways to push.
const (
	PushParallel PushMode = "parallel" // whatever else goes on
	PushSerial   PushMode = "serial"   // one connection, and not while another of the group is delivered to
)

// AtATime is how many connections may be open from one node.
func (p Pace) AtATime() int {
	switch {
	case p.PushMode == PushSerial:
		return 1
	case p.Concurrency > 0:
		return p.Concurrency
	}
	return DefaultConcurrency
}

// Proof says how many of a certificate's names are looked at after a delivery.
type Proof string

// The degrees of proof.
const (
	ProofAll    Proof = "all"
	ProofSample Proof = "sample"
	ProofNone   Proof = "none"
)

// DeliveryState is how far a version has come at a target.
type DeliveryState string

// The states of a delivery: due -> sent -> applied -> served, or failed and due again.
const (
	DeliveryDue        DeliveryState = "due"
	DeliverySent       DeliveryState = "sent"       // handed over
	DeliveryApplied    DeliveryState = "applied"    // the target says it holds it
	DeliveryServed     DeliveryState = "served"     // a handshake showed it
	DeliveryFailed     DeliveryState = "failed"     // the last try went wrong; another follows
	DeliverySuperseded DeliveryState = "superseded" // a newer version took its place
)

// Delivery is one Version to one Target.
type Delivery struct {
	ID            int64
	Tenant        int64
	VersionID     int64
	TargetID      int64
	Target        string // label, when listed
	CertificateID int64
	State         DeliveryState
	Attempts      int
	Receipt       []byte // the target's own, sealed
	Problem       string
	Advice        string
	DueAt         time.Time // the next look or try
	Held          bool      // until the canary of the target's group is seen serving
	Rollback      bool      // an older version on purpose, after a newer one was not seen
	Owner         string
	LeaseUntil    time.Time
	SentAt        time.Time
	AppliedAt     time.Time
	ServedAt      time.Time
	CreatedAt     time.Time
	Rev           int64
}

// Sighting is what a probe saw at one address for one name.
type Sighting struct {
	DeliveryID  int64
	Name        Name
	Address     string
	Fingerprint string
	Problem     string
	At          time.Time
}

// Token lets somebody use the API. Only its hash is kept.
type Token struct {
	ID        int64
	Tenant    int64
	Label     string
	Hash      string
	Scopes    []Scope
	Labels    Labels
	CreatedAt time.Time
	UsedAt    time.Time
	ExpiresAt time.Time
	RevokedAt time.Time
}

// Scope is one thing a token may do.
type Scope string

// The scopes. Admin includes all but key and edge, which open private keys and
// are never implied.
const (
	ScopeRead    Scope = "read"
	ScopeIssue   Scope = "issue"
	ScopeDeliver Scope = "deliver"
	ScopeEdge    Scope = "edge"
	ScopeKey     Scope = "key"
	ScopeAdmin   Scope = "admin"
)

// Scopes are all of them.
var Scopes = []Scope{ScopeRead, ScopeIssue, ScopeDeliver, ScopeEdge, ScopeKey, ScopeAdmin}

// Allows reports whether the token's scopes include want.
func (t *Token) Allows(want Scope) bool {
	for _, s := range t.Scopes {
		if s == want || (s == ScopeAdmin && want != ScopeKey && want != ScopeEdge) || (want == ScopeRead && (s == ScopeIssue || s == ScopeDeliver)) {
			return true
		}
	}
	return false
}
