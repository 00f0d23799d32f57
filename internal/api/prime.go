package api

import "time"

// TargetRun is one full write of a target, or one comparison with it, on the node
// that was asked.
type TargetRun struct {
	Target       string     `json:"target" doc:"The label of the target."`
	What         string     `json:"what" enum:"prime,verify"`
	State        string     `json:"state" enum:"running,done,failed,interrupted" doc:"interrupted: the node ended; a prime that is asked for again within a day goes on where it was."`
	Total        int        `json:"total" doc:"Certificates that go to the target."`
	Certificates int        `json:"certificates" doc:"Looked at so far."`
	Names        int        `json:"names,omitempty" doc:"Written by a prime."`
	Failed       int        `json:"failed" doc:"Certificates that could not be written, or are held otherwise than they should be."`
	StartedAt    time.Time  `json:"started_at"`
	EndedAt      *time.Time `json:"ended_at,omitempty"`
	Problem      string     `json:"problem,omitempty"`
	Advice       string     `json:"advice,omitempty"`
	Findings     []Finding  `json:"findings" nullable:"false" doc:"The first hundred of those that failed."`
}

// Finding is one certificate that could not be written, or that a target does not
// hold as it should.
type Finding struct {
	Certificate string `json:"certificate"`
	Want        string `json:"want,omitempty" doc:"The fingerprint that should be there."`
	Have        string `json:"have,omitempty" doc:"The fingerprint that is there."`
	Problem     string `json:"problem,omitempty"`
	Advice      string `json:"advice,omitempty"`
}
