package certfleet

import "time"

// CertificateState is an operator's word on a certificate, or ours.
type CertificateState string

// The states of a certificate. Paused is the operator's stop, parked is ours.
const (
	Active  CertificateState = "active"
	Paused  CertificateState = "paused"
	Parked  CertificateState = "parked"
	Removed CertificateState = "removed"
)

// Certificate is what an operator asks for and talks about: names that are to
// be kept on a valid certificate, and how. Its Versions come and go.
type Certificate struct {
	ID       int64
	Tenant   int64
	Label    string
	Names    []Name
	PolicyID int64
	Policy   string // the policy's label, when listed
	Targets  []string
	Labels   Labels
	State    CertificateState

	// What comes next, and why then.
	DueAt     time.Time // when an order opens; zero while one is open or none is wanted
	DueReason string
	Lane      Lane
	UrgentAt  time.Time // from then on little of its life is left: it goes before others

	// What went wrong last.
	Failures  int
	Problem   string // as the CA said it
	Advice    string
	FailedAt  time.Time
	VersionID int64 // the newest version that was got, for lists
	NotAfter  time.Time
	CreatedAt time.Time
	Rev       int64

	// Who renews it in our place, such as certbot, and when a version was last taken
	// over from there; empty when we do. Such a certificate is paused.
	External   string
	ExternalAt time.Time
}

// Who may renew a certificate in our place.
const (
	ExternalCertbot     = "certbot"
	ExternalPeterSSLers = "peter_sslers"
)

// Lane is an order of precedence; a lower number goes first.
type Lane int

// The lanes, most urgent first.
const (
	LaneEmergency Lane = 10 // revoked, key compromised, window past
	LaneExpiring  Lane = 20 // near expiry
	LaneWaiting   Lane = 30 // somebody waits
	LaneNew       Lane = 40 // never had one
	LaneRoutine   Lane = 50 // a renewal in good time
	LaneBackfill  Lane = 60 // a migration's bulk
)

// Lanes are all lanes, most urgent first.
var Lanes = []Lane{LaneEmergency, LaneExpiring, LaneWaiting, LaneNew, LaneRoutine, LaneBackfill}

// String is the lane's word.
func (l Lane) String() string {
	switch {
	case l <= LaneEmergency:
		return "emergency"
	case l <= LaneExpiring:
		return "expiring"
	case l <= LaneWaiting:
		return "waiting"
	case l <= LaneNew:
		return "new"
	case l <= LaneRoutine:
		return "routine"
	}
	return "backfill"
}

// Yields is how long what is due in the lane lets the lanes before it pass: what is
// due goes by its due time and this. So no lane is shut out for long, except by
// emergencies and what expires, which go before all others whenever they come.
func (l Lane) Yields() time.Duration {
	const always = 10 * 365 * 24 * time.Hour
	switch {
	case l <= LaneEmergency:
		return -2 * always
	case l <= LaneExpiring:
		return -always
	case l <= LaneWaiting:
		return -10 * time.Minute
	case l <= LaneNew:
		return 30 * time.Second
	case l <= LaneRoutine:
		return time.Minute
	}
	return 5 * time.Minute
}

// Domain is what we know of a Name: where it came from, how it is challenged,
// whether it is parked.
type Domain struct {
	ID           int64
	Tenant       int64
	Name         Name
	Registered   string // the registered domain, on which CAs count
	Source       string // who named it: operator, or a source's label
	Challenge    ChallengeType
	Solver       string
	ParkedAt     time.Time
	ParkedReason string
	Labels       Labels
	CreatedAt    time.Time
}

// SlotKind tells apart the certificates that one name may serve at a time.
type SlotKind string

// The slots of a name.
const (
	SlotECDSA  SlotKind = "ecdsa"
	SlotRSA    SlotKind = "rsa"
	SlotBackup SlotKind = "backup"
)

// Slot is what a name serves. It alone decides; never "the newest wins".
type Slot struct {
	Tenant    int64
	Name      Name
	Kind      SlotKind
	VersionID int64
	Since     time.Time
}
