package certfleet

import "time"

// Agent is a receiving side with an identity of its own: who may report for a
// target, and take what is assigned to it.
type Agent struct {
	ID     int64
	Tenant int64
	Label  string
	Target string // the label of the target that it stands for
	Labels Labels

	// The invitation that is open, of which only a hash is kept.
	JoinHash  string
	JoinUntil time.Time

	// Its identity: the key by which it is known, and the next one while it changes.
	SPKI     string // SHA-256 of the public key, lower-case hex
	NextSPKI string
	NotAfter time.Time // of its client certificate

	CreatedAt  time.Time
	EnrolledAt time.Time
	RevokedAt  time.Time
	SeenAt     time.Time // the last request, noted once a minute
	ReportedAt time.Time
	QuietAt    time.Time // it counts as silent if it says nothing until then; zero when that was told

	// What it said last.
	Release  string
	Round    string        // its last whole report
	Skew     time.Duration // how far its clock is ahead of ours
	Updaters []UpdaterNote
	Rev      int64
}

// UpdaterNote is what came of an updater when it ran last.
type UpdaterNote struct {
	Name    string    `json:"name"`
	OK      bool      `json:"ok"`
	Problem string    `json:"problem,omitempty"`
	Advice  string    `json:"advice,omitempty"`
	At      time.Time `json:"at"`
}

// AgentLineage is what an agent holds of one certificate.
type AgentLineage struct {
	AgentID     int64
	Certificate string // label
	Fingerprint string // of what is live; empty when nothing is
	NotAfter    time.Time
	Served      string // the fingerprint that its own look at the service saw, empty when it did not look
	Problem     string // why what was sent last is not live, or not served
	Advice      string
	Round       string
	At          time.Time
}

// AgentState is how an agent stands.
type AgentState string

// The states of an agent: invited -> active, silent for a while, or revoked.
const (
	AgentInvited AgentState = "invited" // its join token was not used yet
	AgentLapsed  AgentState = "lapsed"  // the invitation or the identity has expired
	AgentActive  AgentState = "active"
	AgentSilent  AgentState = "silent" // it has said nothing for AgentSilence
	AgentRevoked AgentState = "revoked"
)

// AgentStates are all of them.
var AgentStates = []AgentState{AgentInvited, AgentLapsed, AgentActive, AgentSilent, AgentRevoked}

// AgentSilence is how long an agent may say nothing: twice the longest that it
// waits between two reports.
const AgentSilence = 30 * time.Minute

// MaxSkew is how far an agent's clock may be off before people are told.
const MaxSkew = 30 * time.Second

// State is how the agent stands at now.
func (a *Agent) State(now time.Time) AgentState {
	switch {
	case !a.RevokedAt.IsZero():
		return AgentRevoked
	case a.SPKI == "" && now.Before(a.JoinUntil):
		return AgentInvited
	case a.SPKI == "" || !now.Before(a.NotAfter):
		return AgentLapsed
	case now.Sub(a.HeardAt()) > AgentSilence:
		return AgentSilent
	}
	return AgentActive
}

// HeardAt is when the agent last said how it stands: it joined, or reported.
func (a *Agent) HeardAt() time.Time {
	if a.ReportedAt.After(a.EnrolledAt) {
		return a.ReportedAt
	}
	return a.EnrolledAt
}

// Assignment is a version that waits for an agent to take it.
type Assignment struct {
	DeliveryID  int64
	VersionID   int64
	Certificate string // label
	Fingerprint string
}

// TypePull is the type of a target that nothing is pushed to: its agent asks.
const TypePull = "pull"

// Pulled reports whether the target's agent fetches what is for it.
func (t *StoredTarget) Pulled() bool { return t.Type == TypePull }
