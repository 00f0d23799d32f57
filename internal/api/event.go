package api

import "time"

// Event is something that happened, once.
type Event struct {
	ID            int64             `json:"id"`
	Cursor        string            `json:"cursor" doc:"Where a stream goes on behind this event."`
	At            time.Time         `json:"at"`
	Kind          string            `json:"kind" doc:"noun.verb, such as order.failed."`
	CertificateID int64             `json:"certificate_id,omitempty"`
	OrderID       int64             `json:"order_id,omitempty"`
	VersionID     int64             `json:"version_id,omitempty"`
	TargetID      int64             `json:"target_id,omitempty"`
	Actor         string            `json:"actor" doc:"Who did it: token:LABEL, user:NAME or node."`
	Msg           string            `json:"msg"`
	Data          map[string]string `json:"data,omitempty"`
}

// EventQuery narrows a list of events, newest first.
type EventQuery struct {
	Paging
	Labelled
	Kind        string    `query:"kind" doc:"noun.verb, such as order.failed."`
	Certificate string    `query:"certificate" doc:"The label or id of a certificate."`
	Since       time.Time `query:"since" doc:"Not older than this."`
}

// StreamQuery says where a stream of events begins.
type StreamQuery struct {
	Labelled
	After       string `query:"after" doc:"The cursor of the last event that was seen; empty means from now on, start means from the first that is kept."`
	Kind        string `query:"kind" doc:"Only events whose kind begins with this, such as order. or version.issued."`
	Certificate string `query:"certificate" doc:"Only events of this certificate, by label or id."`
}

// Token lets somebody use this API. Only its hash is kept.
type Token struct {
	ID        int64             `json:"id"`
	Label     string            `json:"label"`
	Scopes    []string          `json:"scopes" nullable:"false"`
	Labels    map[string]string `json:"labels"`
	CreatedAt time.Time         `json:"created_at"`
	UsedAt    time.Time         `json:"used_at,omitzero" doc:"When it was last used, to the minute."`
	ExpiresAt time.Time         `json:"expires_at,omitzero"`
	RevokedAt time.Time         `json:"revoked_at,omitzero"`
}

// NewToken asks for a token.
type NewToken struct {
	Label     string            `json:"label" minLength:"1" doc:"Who uses it; it stands on every event."`
	Scopes    []string          `json:"scopes" doc:"read, issue, deliver, edge, key, admin. Admin includes all but edge and key."`
	Labels    map[string]string `json:"labels,omitempty"`
	ExpiresIn string            `json:"expires_in,omitempty" doc:"How long it is good for, such as 90d; empty means until it is revoked."`
}

// TokenAnswer is a new token. Its secret is shown this once.
type TokenAnswer struct {
	Token
	Secret string `json:"secret" doc:"The token itself; it cannot be shown again."`
}
