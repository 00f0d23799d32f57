package api

import "time"

// Order is one attempt to get a version.
type Order struct {
	ID            int64     `json:"id"`
	CertificateID int64     `json:"certificate_id"`
	AuthorityID   int64     `json:"authority_id"`
	AccountID     int64     `json:"account_id"`
	Slot          string    `json:"slot" doc:"What it fills: ecdsa, rsa or backup."`
	State         string    `json:"state" enum:"wanted,open,issued,failed"`
	Manual        bool      `json:"manual,omitempty" doc:"It advances by request only."`
	Lane          string    `json:"lane"`
	URL           string    `json:"url,omitempty" doc:"Its URL at the CA."`
	CAStatus      string    `json:"ca_status,omitempty" doc:"What the CA last said of it."`
	Profile       string    `json:"profile,omitempty"`
	Names         []string  `json:"names" nullable:"false"`
	Replaces      int64     `json:"replaces,omitempty" doc:"The version it replaces."`
	ReplacesNote  string    `json:"replaces_note,omitempty"`
	KeyID         int64     `json:"key_id,omitempty"`
	VersionID     int64     `json:"version_id,omitempty" doc:"What came of it."`
	Attempts      int       `json:"attempts,omitempty" doc:"Steps that went wrong in a row."`
	Problem       string    `json:"problem,omitempty" doc:"What went wrong, as the CA said it."`
	ProblemType   string    `json:"problem_type,omitempty"`
	Advice        string    `json:"advice,omitempty"`
	DueAt         time.Time `json:"due_at,omitzero" doc:"When its next step is."`
	Owner         string    `json:"owner,omitempty" doc:"The node that works on it now."`
	ExpiresAt     time.Time `json:"expires_at,omitzero" doc:"When the CA forgets it."`
	CreatedAt     time.Time `json:"created_at"`
	FinishedAt    time.Time `json:"finished_at,omitzero"`
	Rev           int64     `json:"rev"`
}

// OrderQuery narrows a list of orders, newest first.
type OrderQuery struct {
	Paging
	Labelled
	State       string `query:"state" doc:"wanted, open, issued, failed, or live (or pending) for those that may still issue."`
	Certificate string `query:"certificate" doc:"The label or id of a certificate."`
	Account     string `query:"account" doc:"The label or id of an account."`
}

// OrderStory is an order with everything that is known of it.
type OrderStory struct {
	Order
	Certificate    string          `json:"certificate" doc:"The certificate's label."`
	Authority      string          `json:"authority" doc:"The authority's label."`
	Account        string          `json:"account" doc:"The account's label."`
	Authorizations []Authorization `json:"authorizations" nullable:"false"`
	Challenges     []Challenge     `json:"challenges" nullable:"false"`
	Exchanges      []Exchange      `json:"exchanges" doc:"What was said with the CA, oldest first." nullable:"false"`
}

// Authorization is what a CA last said about one name of an order.
type Authorization struct {
	ID        int64     `json:"id"`
	OrderID   int64     `json:"order_id"`
	URL       string    `json:"url"`
	Name      string    `json:"name"`
	Wildcard  bool      `json:"wildcard,omitempty"`
	Status    string    `json:"status" doc:"pending, valid, invalid, deactivated, expired or revoked, as the CA last said."`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Challenge string    `json:"challenge,omitempty" doc:"The challenge type that was chosen."`
	Problem   string    `json:"problem,omitempty"`
	SeenAt    time.Time `json:"seen_at" doc:"When the CA last said so."`
}

// AuthorizationQuery narrows a list of authorizations or challenges, newest first.
type AuthorizationQuery struct {
	Paging
	Labelled
	Status  string `query:"status" doc:"Of authorizations, as the CA said; of challenges too, or pending for those not taken away yet."`
	State   string `query:"state" doc:"The same as status."`
	Account string `query:"account" doc:"The label or id of an account."`
	Order   int64  `query:"order" doc:"The id of an order."`
}

// Challenge is a challenge that was, or is about to be, presented. Its token is
// not shown.
type Challenge struct {
	ID              int64     `json:"id"`
	OrderID         int64     `json:"order_id"`
	AuthorizationID int64     `json:"authorization_id"`
	Type            string    `json:"type"`
	Solver          string    `json:"solver,omitempty"`
	URL             string    `json:"url"`
	Name            string    `json:"name"`
	Status          string    `json:"status,omitempty"`
	Hits            int64     `json:"hits" doc:"How often somebody looked at it."`
	LastHit         string    `json:"last_hit,omitempty" doc:"The address that looked last."`
	Seen            string    `json:"seen,omitempty" doc:"What the solver saw when it last looked."`
	IntendedAt      time.Time `json:"intended_at,omitzero"`
	PresentedAt     time.Time `json:"presented_at,omitzero"`
	AnsweredAt      time.Time `json:"answered_at,omitzero" doc:"When the CA was told to look."`
	CleanedAt       time.Time `json:"cleaned_at,omitzero" doc:"When it was taken away."`
}

// Exchange is one request to a CA and what came back, without secrets.
type Exchange struct {
	At         time.Time `json:"at"`
	Kind       string    `json:"kind" doc:"directory, nonce, account, order, authz, challenge, finalize, certificate, ari or revoke."`
	Method     string    `json:"method"`
	URL        string    `json:"url"`
	Status     int       `json:"status" doc:"0 when there was no answer."`
	Problem    string    `json:"problem,omitempty"`
	RetryAfter string    `json:"retry_after,omitempty"`
	TookMillis int64     `json:"took_ms"`
}

// Deactivation chooses authorizations to give up.
type Deactivation struct {
	IDs     []int64 `json:"ids,omitempty" doc:"These ones."`
	Account string  `json:"account,omitempty" doc:"All pending ones of this account, by label or id."`
	Order   int64   `json:"order,omitempty" doc:"All pending ones of this order."`
	All     bool    `json:"all,omitempty" doc:"All pending ones there are."`
}

// Deactivated says what was given up and what could not be.
type Deactivated struct {
	Deactivated []int64          `json:"deactivated" nullable:"false"`
	Failed      []FailedActivity `json:"failed,omitempty" nullable:"false"`
}

// FailedActivity is one object of several for which an action went wrong.
type FailedActivity struct {
	ID      int64  `json:"id"`
	Problem string `json:"problem"`
	Advice  string `json:"advice,omitempty"`
}
