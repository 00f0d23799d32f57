package api

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// AgentProtocol is what an agent offers in the handshake beside HTTP (RFC 7301).
// It is a sign only: the manager speaks HTTP/1.1, shows a certificate of its
// private CA, and asks for a client certificate, then and only then.
const AgentProtocol = "certfleet-agent/1"

// joinPrefix begins every join token, so that one is known when it is found.
const joinPrefix = "cfj_"

// JoinToken is an invitation: where the manager is, by which private CA it is
// known, and the secret that is good once.
type JoinToken struct {
	Manager string `json:"m"`  // https://HOST:PORT
	CA      string `json:"ca"` // SHA-256 of the CA's certificate, lower-case hex
	Agent   string `json:"a"`
	Secret  string `json:"s"`
}

// String is the token as it is carried to the host.
func (t JoinToken) String() string {
	b, _ := json.Marshal(t) // plain texts always marshal
	return joinPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseJoinToken reads a token. Its text is never repeated in an error.
func ParseJoinToken(s string) (t JoinToken, err error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), joinPrefix)
	b, err := base64.RawURLEncoding.DecodeString(rest)
	if !ok || err != nil || json.Unmarshal(b, &t) != nil || t.Secret == "" || len(t.CA) != 64 || !strings.HasPrefix(t.Manager, "https://") {
		return JoinToken{}, &certfleet.Error{Kind: certfleet.Invalid, Msg: "this is no join token", Advice: "copy all of what certfleet agents invite printed"}
	}
	return t, nil
}

// NewAgent invites an agent.
type NewAgent struct {
	Label   string            `json:"label" doc:"What people call it; unique."`
	Target  string            `json:"target,omitempty" doc:"The label of the target that it stands for; empty means its own label."`
	Labels  map[string]string `json:"labels,omitempty"`
	TTL     string            `json:"ttl,omitempty" doc:"How long the invitation is good, such as 30m; empty means 1h."`
	Manager string            `json:"manager,omitempty" doc:"Where the agent reaches this manager over TLS; empty means public_url."`
}

// Invitation is an agent with its join token.
type Invitation struct {
	Agent
	Token     string    `json:"token" doc:"Shown this once; good for one join."`
	JoinUntil time.Time `json:"join_until"`
}

// Agent is a receiving side with an identity of its own.
type Agent struct {
	ID         int64             `json:"id"`
	Label      string            `json:"label"`
	Target     string            `json:"target" doc:"The target that it stands for."`
	Labels     map[string]string `json:"labels,omitempty"`
	State      string            `json:"state" doc:"invited, lapsed, active, silent or revoked."`
	Release    string            `json:"release,omitempty"`
	CreatedAt  time.Time         `json:"created_at"`
	EnrolledAt time.Time         `json:"enrolled_at,omitzero"`
	SeenAt     time.Time         `json:"seen_at,omitzero"`
	ReportedAt time.Time         `json:"reported_at,omitzero"`
	RevokedAt  time.Time         `json:"revoked_at,omitzero"`
	NotAfter   time.Time         `json:"not_after,omitzero" doc:"When its client certificate ends; it renews it by itself."`
	SkewMillis int64             `json:"skew_ms" doc:"How far its clock is ahead of the manager's, in milliseconds."`
	Updaters   []UpdaterNote     `json:"updaters,omitempty" doc:"What came of each updater when it ran last."`
	Problem    string            `json:"problem,omitempty"`
	Advice     string            `json:"advice,omitempty"`
}

// AgentStory is an agent with what it holds.
type AgentStory struct {
	Agent
	Lineages []AgentLineage `json:"lineages" nullable:"false" doc:"At most 1000, by label."`
}

// UpdaterNote is what came of an updater.
type UpdaterNote struct {
	Name    string    `json:"name" maxLength:"200"`
	OK      bool      `json:"ok"`
	Problem string    `json:"problem,omitempty" maxLength:"2000"`
	Advice  string    `json:"advice,omitempty" maxLength:"2000"`
	At      time.Time `json:"at"`
}

// AgentLineage is what an agent holds of a certificate.
type AgentLineage struct {
	Certificate string    `json:"certificate" maxLength:"300"`
	Fingerprint string    `json:"fingerprint,omitempty" maxLength:"64" doc:"SHA-256 of the leaf that is live; absent when nothing is."`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Served      string    `json:"served,omitempty" maxLength:"64" doc:"The fingerprint that the agent itself saw served."`
	Problem     string    `json:"problem,omitempty" maxLength:"2000"`
	Advice      string    `json:"advice,omitempty" maxLength:"2000"`
	At          time.Time `json:"at,omitzero" readOnly:"true"`
}

// Join takes an invitation up.
type Join struct {
	Secret  string `json:"secret" maxLength:"200"`
	Request string `json:"request" maxLength:"8192" doc:"A PEM certificate request."`
}

// Identity is a client certificate of the private CA.
type Identity struct {
	Agent       string    `json:"agent"`
	Certificate string    `json:"certificate" doc:"The leaf and the CA, in PEM."`
	NotAfter    time.Time `json:"not_after"`
}

// Rejoin asks for a certificate for a new key, under the old one.
type Rejoin struct {
	Request string `json:"request" maxLength:"8192"`
}

// AgentReport is what an agent says of itself. What it holds may come in parts.
type AgentReport struct {
	Release  string         `json:"release,omitempty" maxLength:"60"`
	Clock    time.Time      `json:"clock" doc:"The agent's own time."`
	Round    string         `json:"round" maxLength:"60" doc:"Names a whole report; later changes carry it too."`
	Whole    bool           `json:"whole,omitempty" doc:"The last part of a whole report: what it did not name is gone."`
	Updaters []UpdaterNote  `json:"updaters,omitempty" maxItems:"200"`
	Lineages []AgentLineage `json:"lineages,omitempty" maxItems:"1000"`
}

// AgentOrders is what the manager answers to a report.
type AgentOrders struct {
	Whole  bool      `json:"whole,omitempty" doc:"The manager wants a whole report next."`
	Rejoin bool      `json:"rejoin,omitempty" doc:"The client certificate is due to be renewed."`
	Pull   bool      `json:"pull,omitempty" doc:"The agent is to fetch what is assigned to it."`
	Clock  time.Time `json:"clock" doc:"The manager's time."`
}

// Ask asks what waits for the agent.
type Ask struct {
	WaitSeconds int `json:"wait_seconds,omitempty" minimum:"0" maximum:"25" doc:"How long to wait for something."`
}

// Assigned is what waits for an agent.
type Assigned struct {
	Versions []Assignment `json:"versions" nullable:"false" doc:"At most 500, oldest first."`
}

// Assignment is a version that waits.
type Assignment struct {
	Version     int64  `json:"version"`
	Certificate string `json:"certificate"`
	Fingerprint string `json:"fingerprint"`
}

// AgentBundle is a version with its private key, for the agent that it is
// assigned to.
type AgentBundle struct {
	Assignment
	Names    []string `json:"names" nullable:"false"`
	ChainPEM string   `json:"chain_pem"`
	KeyPEM   string   `json:"key_pem" doc:"PKCS #8. The opening is on record."`
}
