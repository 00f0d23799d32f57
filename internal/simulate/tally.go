package simulate

import (
	"context"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
)

// tally counts.
type tally struct {
	o      Options
	r      Result
	minute int64 // whose orders are counted now
	orders int   // in that minute
	today  Day
}

func newTally(o Options) *tally {
	t := &tally{o: o, r: Result{Fleet: o.Fleet, Days: o.Days, Seed: o.Seed, From: o.From.Format(time.DateOnly), LateBecause: map[string]int{}, BreachesOf: map[string]int{}, LeastDays: map[string]float64{}}}
	t.today.Least = map[string]float64{}
	return t
}

func (t *tally) day(at time.Time) int { return int(at.Sub(t.o.From) / day) }

// ordered counts an order that the CA took.
func (t *tally) ordered(at time.Time, second bool) {
	if m := at.Unix() / 60; m != t.minute {
		t.minute, t.orders = m, 0
	}
	t.orders++
	t.r.PeakOrders = max(t.r.PeakOrders, float64(t.orders)/60)
	t.r.Orders++
	t.today.Orders++
	if second {
		t.r.FailedOver++
	}
}

// renewed judges a renewal by what was there before.
func (t *tally) renewed(at time.Time, was certfleet.Certificate, old certfleet.Version, o *certfleet.Order) {
	if old.ID == 0 {
		return
	}
	t.r.Polls += int(at.Sub(later(old.NotBefore, t.o.From)) / pollEvery)
	left := old.NotAfter.Sub(at)
	if left <= 0 {
		t.r.Expired++
	}
	least(t.r.LeastDays, old.Profile, left)
	least(t.today.Least, old.Profile, left)
	switch {
	case old.ARIEnd.IsZero():
	case at.Before(old.ARIStart):
		t.r.Early++
	case !at.Before(old.ARIEnd):
		t.r.Late++
		t.today.Late++
		t.r.LateBecause[whyLate(at, was, o)]++
	}
}

func least(m map[string]float64, profile string, left time.Duration) {
	days := float64(left) / float64(day)
	if was, ok := m[profile]; !ok || days < was {
		m[profile] = days
	}
}

// whyLate is the reason that is on record for a renewal after its window.
func whyLate(at time.Time, was certfleet.Certificate, o *certfleet.Order) string {
	switch {
	case was.Lane == certfleet.LaneEmergency:
		return "revoked"
	case o.Attempts > 0:
		return "outage"
	case strings.HasPrefix(was.DueReason, "it waits for the limit"):
		return "limit"
	case was.Failures > 0:
		return "failed"
	case at.Sub(was.DueAt) > 2*tick:
		return "behind"
	}
	return "unexplained"
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// daily closes a day.
func (w *world) daily(ctx context.Context) error {
	behind, err := w.db.Behind(ctx, w.now)
	if err != nil {
		return err
	}
	t := w.tally
	t.today.Day = t.day(w.now) - 1
	t.today.Date = w.dayAt(t.today.Day).Format(time.DateOnly)
	t.today.Backlog = behind
	t.r.PeakBacklog = max(t.r.PeakBacklog, behind)
	t.r.PerDay = append(t.r.PerDay, t.today)
	if w.Progress != nil {
		w.Progress(t.today)
	}
	t.today = Day{Least: map[string]float64{}}
	return nil
}

// result asks the CA and the store what they have seen.
func (w *world) result(ctx context.Context) (*Result, error) {
	r := &w.tally.r
	r.Until = w.end.Format(time.DateOnly)
	gone, err := w.db.Expired(ctx, w.end)
	if err != nil {
		return nil, err
	}
	r.Expired += gone
	bare, err := w.db.Bare(ctx)
	if err != nil {
		return nil, err
	}
	r.WithoutFirst = int(bare)
	for _, b := range w.cas[w.Limits].Breaches() {
		r.Breaches += b.Count
		r.BreachesOf[b.Limit] += b.Count
	}
	for _, ca := range w.cas {
		for _, n := range ca.Stats().Requests {
			r.Requests += n
		}
	}
	r.Requests += r.Polls
	perOrder := float64(len(fakeca.Conversation))
	r.PeakRequests = r.PeakOrders*perOrder + float64(w.Fleet)/pollEvery.Seconds()
	return r, nil
}
