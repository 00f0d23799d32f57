package api

import "time"

// LimitsQuery says since when requests are counted, and which buckets are meant.
type LimitsQuery struct {
	Since string `query:"since" doc:"How far back, such as 7d; empty means 7d."`
	Name  string `query:"name" doc:"A name or label: all buckets that its next order touches, the full ones too, instead of the emptiest."`
}

// Limits are what CAs allow and what is left of it, what they told us to wait
// for, and the requests that were made.
type Limits struct {
	Requests  []RequestCount  `json:"requests" nullable:"false"`
	Pauses    []Pause         `json:"pauses" nullable:"false"`
	Buckets   []LimitBucket   `json:"buckets" nullable:"false" doc:"Every account's, and the emptiest of each other limit."`
	Overrides []LimitOverride `json:"overrides" nullable:"false"`
}

// LimitBucket is what is left of one limit of a CA, by our own count.
type LimitBucket struct {
	Key       string    `json:"key" doc:"What it is kept under: authority, account, limit and subject."`
	Authority string    `json:"authority"`
	Account   string    `json:"account,omitempty" doc:"Empty where the CA counts all accounts together."`
	Limit     string    `json:"limit"`
	Subject   string    `json:"subject,omitempty" doc:"A registered domain, a name or a set of names."`
	Left      int       `json:"left" doc:"What could be spent now."`
	Most      int       `json:"most" doc:"What a full one holds."`
	Count     int       `json:"count" doc:"So many come back in every period."`
	Period    string    `json:"period"`
	Held      int       `json:"held" doc:"Promised to orders under way."`
	Waiting   int64     `json:"waiting" doc:"Certificates that wait for it."`
	FreeAt    time.Time `json:"free_at,omitzero" doc:"When the next of them has its turn, or with nobody waiting when an empty one has something again."`
	FullAt    time.Time `json:"full_at,omitzero" doc:"When it is full again."`
}

// LimitOverride is what a CA granted beyond what it publishes, or what an
// operator knows of a CA that publishes nothing.
type LimitOverride struct {
	Authority string    `json:"authority" doc:"Its label."`
	Account   string    `json:"account,omitempty" doc:"The label of one account; empty means all."`
	Domain    string    `json:"domain,omitempty" doc:"One registered domain; empty means all."`
	Limit     string    `json:"limit" enum:"new-orders,certificates-per-domain,certificates-per-set,failed-validations,consecutive-failures,pace-newNonce,pace-newAccount,pace-newOrder,pace-revokeCert,pace-renewalInfo,pace-directory,pace-other" doc:"A pace is how many requests one address may send to an endpoint of the CA; pace-other is for all that have none of their own."`
	Count     int       `json:"count" minimum:"1" doc:"So many in every period."`
	Period    string    `json:"period" doc:"Such as 3h or 7d."`
	Burst     int       `json:"burst,omitempty" minimum:"0" doc:"How many at once; 0 means count."`
	Note      string    `json:"note,omitempty" maxLength:"1000"`
	CreatedAt time.Time `json:"created_at,omitzero" readOnly:"true"`
}

// OverrideQuery names one override.
type OverrideQuery struct {
	Authority string `query:"authority" required:"true" doc:"Its label."`
	Account   string `query:"account" doc:"The label of one account."`
	Domain    string `query:"domain" doc:"One registered domain."`
	Limit     string `query:"limit" required:"true"`
}

// ClearLimit forgets what was counted and learned of one limit.
type ClearLimit struct {
	Key string `json:"key" minLength:"1" doc:"As it is listed."`
}

// Done says that something was done that has nothing to tell.
type Done struct {
	Done bool `json:"done"`
}

// RequestCount is how many requests of a kind got a status on a day.
type RequestCount struct {
	Day       string `json:"day" doc:"YYYY-MM-DD, UTC."`
	Authority string `json:"authority"`
	Account   string `json:"account,omitempty"`
	Kind      string `json:"kind"`
	Status    int    `json:"status"`
	N         int64  `json:"n"`
}

// Pause is something a CA told us to wait for.
type Pause struct {
	Key    string    `json:"key" doc:"What waits: authority:3, or the key of a limit."`
	Until  time.Time `json:"until,omitzero" doc:"Absent when it waits for a person."`
	Reason string    `json:"reason"`
	Help   string    `json:"help,omitempty" doc:"The page at the CA where a person helps, when it waits for one."`
	At     time.Time `json:"at"`
}
