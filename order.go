package certfleet

import "time"

// OrderState is our own view of an order; the CA keeps the finer one.
type OrderState string

// The states of an order: wanted -> open -> issued | failed.
const (
	OrderWanted OrderState = "wanted" // ours alone: the CA may not know of it yet
	OrderOpen   OrderState = "open"   // placed: its URL is known
	OrderIssued OrderState = "issued" // its version is stored
	OrderFailed OrderState = "failed" // it ended without one
)

// Order is one attempt to get a Version.
type Order struct {
	ID            int64
	Tenant        int64
	CertificateID int64
	AuthorityID   int64
	AccountID     int64
	Slot          SlotKind
	State         OrderState
	Manual        bool // advances by request only; sweeps pass it by
	Lane          Lane
	URL           string
	CAStatus      string // what the CA last said; for people, never trusted
	Profile       string
	Names         []Name
	Replaces      int64 // the version it replaces, zero for none
	ReplacesNote  string
	KeyID         int64
	VersionID     int64
	Attempts      int // steps that failed in a row
	Problem       string
	ProblemType   string
	Advice        string
	DueAt         time.Time
	Owner         string
	LeaseUntil    time.Time
	ExpiresAt     time.Time // when the CA forgets it
	PlacingAt     time.Time // new-order was about to be sent
	CreatedAt     time.Time
	FinishedAt    time.Time
	Rev           int64
}

// Live reports whether the order may still issue.
func (o *Order) Live() bool { return o.State == OrderWanted || o.State == OrderOpen }

// Turn is the moment by which a due order goes before others or behind them.
func (o *Order) Turn() time.Time { return o.DueAt.Add(o.Lane.Yields()) }

// Authorization is what the CA last said about one name of an order.
type Authorization struct {
	ID        int64
	OrderID   int64
	URL       string
	Name      Name
	Wildcard  bool
	Status    string
	ExpiresAt time.Time
	Challenge ChallengeType // the one chosen
	Problem   string
	SeenAt    time.Time
}

// StoredChallenge is a challenge that was, or is about to be, presented.
type StoredChallenge struct {
	ID              int64
	Tenant          int64
	OrderID         int64
	AuthorizationID int64
	Type            ChallengeType
	Solver          string
	URL             string
	Name            Name
	Token           string
	KeyAuth         string
	State           []byte // the solver's own, sealed
	Status          string
	Hits            int64
	LastHit         string // the client address of the last hit
	Seen            string // what the solver saw when it last looked
	IntendedAt      time.Time
	PresentedAt     time.Time
	AnsweredAt      time.Time
	CleanedAt       time.Time
}

// Exchange is one request to a CA and what came back, without secrets.
type Exchange struct {
	ID          int64
	OrderID     int64
	AccountID   int64
	AuthorityID int64
	At          time.Time
	Kind        string // directory, nonce, account, order, authz, challenge, finalize, certificate, ari, revoke
	Method      string
	URL         string
	Status      int
	Problem     string
	RetryAfter  string
	Took        time.Duration
}
