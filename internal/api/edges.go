package api

import "time"

// TargetEdge is what one server in front of a target answered that was asked about
// its cache, or told to forget it.
type TargetEdge struct {
	URL     string         `json:"url" doc:"The server's root, as the target names it."`
	OK      bool           `json:"ok"`
	Version string         `json:"version,omitempty" doc:"Of the module that answered."`
	Status  int            `json:"status,omitempty" doc:"The HTTP status; absent when it did not answer."`
	Answer  map[string]any `json:"answer,omitempty" doc:"What it answered."`
	Problem string         `json:"problem,omitempty"`
	Advice  string         `json:"advice,omitempty"`
}

// TargetEdges are the answers of all servers in front of a target.
type TargetEdges struct {
	Target  string       `json:"target" doc:"The label of the target."`
	Edges   []TargetEdge `json:"edges" nullable:"false"`
	Problem string       `json:"problem,omitempty" doc:"Of what they share: the target itself does not answer."`
	Advice  string       `json:"advice,omitempty"`
}

// AccountCheck is how an account stands at its CA.
type AccountCheck struct {
	Account
	CAStatus  string    `json:"ca_status" doc:"As the CA says: valid, deactivated or revoked (RFC 8555 section 7.1.6)."`
	CAURL     string    `json:"ca_url" doc:"The account's URL as the CA says."`
	CAContact []string  `json:"ca_contact,omitempty" doc:"Whom the CA would write to; some CAs do not say."`
	Agrees    bool      `json:"agrees" doc:"The CA knows it as we do: it is valid, under the same URL."`
	CheckedAt time.Time `json:"checked_at"`
}
