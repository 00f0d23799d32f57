// Package simulate lets a fleet of certificates live for years in minutes: the
// real planner, lanes, ledger and store against the fake CA, by a clock of its own.
//
// What decides is what decides in a node (issue.Rehearsal says what is left out).
// The store is SQLite in a temporary folder, without durability and without the
// indexes that only people's questions need. An order is one exchange with the CA
// and is committed together with those of the same minute. A CA answers questions
// about renewal windows the same until it changes its mind, so they are counted
// and not asked, but after a revocation.
package simulate

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet/internal/plan"
)

const day = 24 * time.Hour

// Options of a simulation. Days count from From, which is day 0.
type Options struct {
	Fleet   int // certificates of one name each
	New     int // so many of them have no certificate at the start
	Mix     []Share
	From    time.Time
	Days    int
	Outages []Outage
	Revokes []Revocation
	// Limits is the authority by whose published limits the CA lives and the ledger
	// counts; a name that publishes none, such as "none", is a CA without limits.
	Limits    string
	Overrides []plan.Limit // granted by the CA and known to the ledger
	IPs       int          // source addresses: each has the CA's paces to itself
	BadNonces float64      // share of requests whose nonce is refused
	Backup    bool         // there is a second authority, without limits, to fail over to
	Seed      uint64
	Folder    string // of the store; a temporary one if empty
	// Progress is told of every day that is over; nil for nobody.
	Progress func(Day)
}

// Share is how much of the fleet has a profile.
type Share struct {
	Profile string
	Weight  int
}

// Outage is a time in which the CA does not answer.
type Outage struct {
	Day    int
	Length time.Duration
}

// Revocation is a mass revocation.
type Revocation struct {
	Day   int
	Share float64
}

// Day is what happened on one day, and how things stood at its end.
type Day struct {
	Day     int                `json:"day"`
	Date    string             `json:"date"`
	Orders  int                `json:"orders"`
	Late    int                `json:"late"`
	Backlog int64              `json:"backlog"`              // due and not done yet
	Least   map[string]float64 `json:"least_days,omitempty"` // least that was left at a renewal, by profile
}

// Result is what came of a simulation. Everything in it follows from the options.
type Result struct {
	Fleet int    `json:"fleet"`
	Days  int    `json:"days"`
	From  string `json:"from"`
	Until string `json:"until"`
	Seed  uint64 `json:"seed"`

	Expired      int64          `json:"expired"`       // certificates that expired before they were renewed
	Late         int            `json:"late"`          // renewals after their window
	LateBecause  map[string]int `json:"late_because"`  // outage, revoked, limit, failed, behind or unexplained
	Early        int            `json:"early"`         // renewals before their window
	Breaches     int            `json:"breaches"`      // limits and paces of the CA that were met
	BreachesOf   map[string]int `json:"breaches_of"`   // by limit
	Orders       int            `json:"orders"`        // that the CA took
	FailedOver   int            `json:"failed_over"`   // of them, at the second authority
	Requests     int            `json:"requests"`      // of all kinds
	Polls        int            `json:"polls"`         // of them, questions about renewal windows, by calculation
	WithoutFirst int            `json:"without_first"` // never got a certificate

	PeakOrders   float64            `json:"peak_orders_per_second"` // over a minute
	PeakRequests float64            `json:"peak_requests_per_second"`
	PeakBacklog  int64              `json:"peak_backlog"`
	LeastDays    map[string]float64 `json:"least_days"` // least that was left at a renewal, by profile

	PerDay []Day `json:"-"`
}

// Run simulates. It ends early with the context's error.
func Run(ctx context.Context, o Options) (*Result, error) {
	w, err := build(ctx, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("prepare the fleet: %w", err)
	}
	defer w.close()
	if err := w.live(ctx); err != nil {
		return nil, fmt.Errorf("day %d: %w", w.tally.day(w.now), err)
	}
	return w.result(ctx)
}

func (o Options) withDefaults() Options {
	o.IPs = max(o.IPs, 1)
	if len(o.Mix) == 0 {
		o.Mix = Mixes["mix"]
	}
	if o.From.IsZero() {
		o.From = Begin
	}
	if o.Limits == "" {
		o.Limits = "letsencrypt"
	}
	return o
}

// Begin is the day on which simulations begin when nothing else is said, so that
// they are the same whenever they run.
var Begin = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// Mixes are fleets by name. Lives change as Let's Encrypt has announced: classic
// is 90 days, 64 from 2027-02-10 and 45 from 2028-02-16; tlsserver is 45 days and
// shortlived 160 hours.
var Mixes = map[string][]Share{
	"mix":        {{"classic", 1}, {"tlsserver", 1}},
	"all":        {{"classic", 45}, {"tlsserver", 45}, {"shortlived", 10}},
	"classic":    {{"classic", 1}},
	"tlsserver":  {{"tlsserver", 1}},
	"shortlived": {{"shortlived", 1}},
}
