package api

import "time"

// Jobs is what is worked on and what is due.
type Jobs struct {
	Running []RunningJob  `json:"running" doc:"By all nodes on PostgreSQL, at most 500; else by the one that answers." nullable:"false"`
	Due     []DueJobs     `json:"due" doc:"By kind of work." nullable:"false"`
	Lanes   []LaneJobs    `json:"lanes" doc:"Certificates that wait for their order, by lane, most urgent first." nullable:"false"`
	Failing []Certificate `json:"failing" doc:"Certificates whose last order failed, the first hundred." nullable:"false"`
	Failed  []Delivery    `json:"failed_deliveries" doc:"Deliveries that went wrong last, the newest hundred." nullable:"false"`
	Trouble []TroubledJob `json:"trouble" doc:"Work that went wrong before it could say so on its row, within the last hour: the newest hundred." nullable:"false"`
	NextAt  time.Time     `json:"next_at,omitzero" doc:"The earliest moment at which anything is due."`
}

// RunningJob is one thing that is worked on now.
type RunningJob struct {
	Kind  string    `json:"kind"`
	ID    int64     `json:"id"`
	Since time.Time `json:"since" doc:"What takes long at another node says every half minute or so that it is under way; then this is when it said so last."`
	Node  string    `json:"node,omitempty" doc:"Who works on it: host and process id. What another node has includes orders that wait there for their turn."`
}

// TroubledJob is work that went wrong before it could say so on its row, such as
// when the database did not answer.
type TroubledJob struct {
	Kind    string    `json:"kind"`
	ID      int64     `json:"id"`
	Say     string    `json:"say,omitempty" doc:"What it is, in words."`
	Node    string    `json:"node,omitempty" doc:"Who tried last: host and process id."`
	Tries   int       `json:"tries" doc:"How often it went wrong."`
	Problem string    `json:"problem" doc:"What was said last."`
	At      time.Time `json:"at" doc:"When that was."`
	NextAt  time.Time `json:"next_at,omitzero" doc:"The next try. Without one it was given up, and is begun anew if it is still due."`
}

// DueJobs is how much of one kind of work is due now.
type DueJobs struct {
	Kind   string    `json:"kind"`
	N      int       `json:"n" doc:"How many, at most a thousand."`
	Oldest time.Time `json:"oldest_at,omitzero" doc:"Since when the longest of it is due."`
	Say    []string  `json:"say,omitempty" doc:"The first few in words." nullable:"false"`
}

// LaneJobs is what waits in a lane.
type LaneJobs struct {
	Lane   string    `json:"lane"`
	N      int       `json:"n" doc:"How many are due and wait for no limit, at most a thousand."`
	Oldest time.Time `json:"oldest_at,omitzero" doc:"Since when the longest of them waits."`
}

// Sweep asks for one round of one kind of work.
type Sweep struct {
	Kind   string `json:"kind" doc:"A kind of work, see /v1/jobs."`
	Limit  int    `json:"limit,omitempty" minimum:"0" maximum:"1000" doc:"How many; 0 means 500."`
	DryRun bool   `json:"dry_run,omitempty" doc:"Only say what would be done."`
}

// Swept is what came of a sweep.
type Swept struct {
	Kind string   `json:"kind"`
	Did  int      `json:"did" doc:"How many were worked on, or would be."`
	Say  []string `json:"say,omitempty" nullable:"false"`
}

// Release is the program that answers.
type Release struct {
	Release   string    `json:"release"`
	Go        string    `json:"go"`
	StartedAt time.Time `json:"started_at,omitzero"`
	Database  string    `json:"database,omitempty" enum:"sqlite,postgres"`
	ReadOnly  bool      `json:"read_only,omitempty"`
}

// Health says whether a node can work.
type Health struct {
	Ready  bool          `json:"ready"`
	Checks []HealthCheck `json:"checks" nullable:"false"`
}

// HealthCheck is one thing that must work.
type HealthCheck struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
	Advice  string `json:"advice,omitempty"`
}

// Overview is the fleet in numbers.
type Overview struct {
	Certificates map[string]int64 `json:"certificates" doc:"By state."`
	Orders       map[string]int64 `json:"orders" doc:"Live ones, by lane."`
	Deliveries   map[string]int64 `json:"deliveries" doc:"By state."`
	Failures     map[string]int64 `json:"failures" doc:"Failing certificates, by kind of problem."`
	Due          int64            `json:"due" doc:"Orders that open within a day."`
	Overdue      int64            `json:"overdue" doc:"Due for more than an hour."`
	Expiring     int64            `json:"expiring" doc:"Active, with less than three days left."`
	Expired      int64            `json:"expired"`
	OldestOpen   time.Time        `json:"oldest_open,omitzero" doc:"When the oldest delivery was made that has not arrived."`
}
