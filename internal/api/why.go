package api

import "time"

// Why is what holds for a name and why, from stored facts: first in sentences,
// then in fields.
type Why struct {
	Subject   string   `json:"subject" doc:"The name or label that was asked for."`
	Sentences []string `json:"sentences" doc:"The whole answer, ready to read." nullable:"false"`
	Verdict   string   `json:"verdict" enum:"served,valid,unproven,waiting,failing,expired,paused,parked,removed,unknown" doc:"How it stands in one word: served was seen in a handshake, valid holds a certificate and goes nowhere, unproven has not been seen served."`

	Certificate *Certificate `json:"certificate,omitempty" doc:"The certificate that wants the name."`
	Also        []string     `json:"also,omitempty" doc:"Labels of other certificates that want it." nullable:"false"`
	Have        *Version     `json:"have,omitempty" doc:"The version in use."`
	Backup      *BackupState `json:"backup,omitempty" doc:"How its second certificate stands, if its policy keeps one."`
	Slots       []Slot       `json:"slots,omitempty" doc:"What the name is to serve." nullable:"false"`
	Served      []Served     `json:"served,omitempty" doc:"Where it was seen, and what." nullable:"false"`
	DueAt       time.Time    `json:"due_at,omitzero" doc:"When the next order opens or the open one goes on."`
	DueReason   string       `json:"due_reason,omitempty"`
	Order       *Order       `json:"order,omitempty" doc:"The order that is on its way, or the last one if it failed."`
	Challenges  []Challenge  `json:"challenges,omitempty" doc:"Of that order." nullable:"false"`
	Problem     string       `json:"problem,omitempty" doc:"The last problem, as the CA said it."`
	ProblemAt   time.Time    `json:"problem_at,omitzero"`
	Advice      string       `json:"advice,omitempty" doc:"What to do about it."`
	NextStep    string       `json:"next_step" doc:"What happens next, by itself or by you."`
	Pauses      []Pause      `json:"pauses,omitempty" doc:"What a CA told us to wait for." nullable:"false"`
}

// Slot is what a name is to serve.
type Slot struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind" doc:"ecdsa, rsa or backup."`
	VersionID int64     `json:"version_id"`
	Since     time.Time `json:"since"`
}

// Served is one look at one target's address.
type Served struct {
	Target  string    `json:"target"`
	State   string    `json:"state" doc:"The delivery's state."`
	Name    string    `json:"name,omitempty"`
	Address string    `json:"address,omitempty"`
	Ours    bool      `json:"ours" doc:"It was the version in use."`
	Problem string    `json:"problem,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// SearchQuery says what is looked for.
type SearchQuery struct {
	Labelled
	Q     string `query:"q" required:"true" minLength:"1" doc:"Part of a name, a serial, fingerprint, SPKI, issuer, subject or ARI id."`
	Limit int    `query:"limit" minimum:"0" maximum:"1000" doc:"How many hits; 0 means 100."`
}

// Hit is one find of a search, and where it leads.
type Hit struct {
	Kind          string   `json:"kind" doc:"version or domain."`
	ID            int64    `json:"id"`
	Field         string   `json:"field" doc:"What matched: name, serial, fingerprint, spki, issuer, subject or ari."`
	Value         string   `json:"value"`
	CertificateID int64    `json:"certificate_id,omitempty"`
	Certificate   string   `json:"certificate,omitempty" doc:"The certificate's label."`
	State         string   `json:"state,omitempty" doc:"The certificate's state."`
	NotAfter      string   `json:"not_after,omitempty" doc:"Of the version that was found, or that is in use."`
	VersionID     int64    `json:"version_id,omitempty"`
	OrderID       int64    `json:"order_id,omitempty"`
	AccountID     int64    `json:"account_id,omitempty"`
	Account       string   `json:"account,omitempty"`
	Targets       []string `json:"targets,omitempty" nullable:"false"`
}

// Hits are the finds of a search.
type Hits struct {
	Hits []Hit `json:"hits" nullable:"false"`
}
