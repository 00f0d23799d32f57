package simulate

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// second is the label of the authority to fail over to.
const second = "second"

// world is a fleet, its CA and its calendar.
type world struct {
	Options
	db     *store.DB
	folder string // to be removed
	room   *issue.Room
	play   *issue.Rehearsal
	cas    map[string]*fakeca.CA // by the label of the authority
	chance *rand.Rand
	tally  *tally

	now    time.Time
	end    time.Time
	acct   string        // our account's URL at the first authority
	gap    time.Duration // between two orders, so that the CA's paces are kept
	sent   int           // orders, to go round the source addresses
	events events
}

func build(ctx context.Context, o Options) (*world, error) {
	w := &world{Options: o, now: o.From, end: o.From.Add(time.Duration(o.Days) * day), chance: rand.New(rand.NewPCG(o.Seed, 1))}
	w.tally = newTally(o)
	w.gap = gapFor(o.Limits, o.IPs)
	if err := w.open(ctx); err != nil {
		w.close()
		return nil, err
	}
	w.room = &issue.Room{DB: w.db, Luck: w.chance.Float64}
	w.play = &issue.Rehearsal{Room: w.room, Exchange: w.exchange, Renewed: w.tally.renewed}
	w.plant()
	if err := w.fill(ctx); err != nil {
		w.close()
		return nil, err
	}
	w.calendar(ctx)
	return w, nil
}

func (w *world) open(ctx context.Context) error {
	folder := w.Folder
	if folder == "" {
		var err error
		if folder, err = os.MkdirTemp("", "certfleet-simulate"); err != nil {
			return err
		}
		w.folder = folder
	}
	var err error
	if w.db, err = store.Open(ctx, filepath.Join(folder, "simulate.db"), store.Options{Fast: true}); err != nil {
		return err
	}
	return w.db.Unbrowsed(ctx)
}

func (w *world) close() {
	if w.db != nil {
		w.db.Close()
	}
	if w.folder != "" {
		os.RemoveAll(w.folder)
	}
}

// busyShare is how much of a CA's pace is used: a nonce that is refused costs a
// request more.
const busyShare = 0.8

// gapFor is how far orders are apart so that their requests keep to the pace of
// the authority from so many addresses.
func gapFor(authority string, ips int) time.Duration {
	gap := time.Millisecond
	for _, p := range plan.Paces(authority) {
		n := 0
		for _, e := range fakeca.Conversation {
			if e == p.Endpoint || p.Endpoint == "other" && e != "newOrder" {
				n++
			}
		}
		perSecond := float64(p.PerSecond*ips) * busyShare
		gap = max(gap, time.Duration(float64(n)/perSecond*float64(time.Second)))
	}
	return gap
}

// plant makes the CAs with what will go wrong with the first one.
func (w *world) plant() {
	o := fakeca.Options{Now: func() time.Time { return w.now }, Seed: w.Seed, Lean: true, Trusting: true}
	w.cas = map[string]*fakeca.CA{}
	if w.Backup {
		o.URL = "https://second.test"
		w.cas[second] = fakeca.New(o)
	}
	o.URL = ""
	for _, l := range plan.Published(w.Limits) {
		o.Limits = append(o.Limits, fakeca.Limit{Name: string(l.Name), Count: l.Count, Period: l.Period, Burst: l.Burst})
	}
	for _, p := range plan.Paces(w.Limits) {
		o.Paces = append(o.Paces, fakeca.Pace{Endpoint: p.Endpoint, PerSecond: p.PerSecond, Burst: p.Burst})
	}
	for _, l := range w.Overrides {
		o.Overrides = append(o.Overrides, fakeca.Override{Limit: fakeca.Limit{Name: string(l.Name), Count: l.Count, Period: l.Period, Burst: l.Burst}})
	}
	for _, x := range w.Outages {
		o.Faults = append(o.Faults, fakeca.Fault{Kind: fakeca.Outage, From: w.dayAt(x.Day), Until: w.dayAt(x.Day).Add(x.Length)})
	}
	if w.BadNonces > 0 {
		o.Faults = append(o.Faults, fakeca.Fault{Kind: fakeca.BadNonce, Share: w.BadNonces})
	}
	w.cas[w.Limits] = fakeca.New(o)
}

func (w *world) dayAt(n int) time.Time { return w.From.Add(time.Duration(n) * day) }

// exchange is all that is said about one order.
func (w *world) exchange(p issue.Placing) (issue.Given, error) {
	w.sent++
	ask := fakeca.Ask{Account: p.Account, Source: "192.0.2." + strconv.Itoa(1+w.sent%w.IPs), Names: p.Names, Profile: p.Profile, Replaces: p.Replaces}
	got, err := w.cas[p.Authority].AtOnce(ask)
	if err == nil {
		w.tally.ordered(p.At, p.Authority == second)
		return givenOf(got), nil
	}
	if errors.Is(err, fakeca.ErrNobody) {
		return issue.Given{}, &issue.Away{Until: w.back(p.At)}
	}
	if no, ok := errors.AsType[*fakeca.Problem](err); ok {
		return issue.Given{}, problemOf(no, p.At)
	}
	return issue.Given{}, err
}

func givenOf(g fakeca.Given) issue.Given {
	return issue.Given{Serial: g.Serial, ARIID: g.ARIID, NotBefore: g.NotBefore, NotAfter: g.NotAfter, Window: plan.Window{Start: g.WindowStart, End: g.WindowEnd}}
}

// problemOf is a refusal as the ACME client reads it.
func problemOf(p *fakeca.Problem, now time.Time) *acme.Problem {
	out := &acme.Problem{Type: "urn:ietf:params:acme:error:" + p.Type, Detail: p.Detail, Status: p.Status, Help: p.Help()}
	if wait := p.RetryAfter(); wait > 0 {
		out.RetryAfter = now.Add(wait)
	}
	return out
}

// back is when the outage ends that holds now.
func (w *world) back(now time.Time) time.Time {
	for _, x := range w.Outages {
		if from := w.dayAt(x.Day); !now.Before(from) && now.Before(from.Add(x.Length)) {
			return from.Add(x.Length)
		}
	}
	return now
}

// event is something that happens at a moment of the calendar.
type event struct {
	at time.Time
	do func(context.Context) error
}

type events []event

// Len is how many events there are.
func (e events) Len() int { return len(e) }

// Less says which of two comes first.
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }

// Swap changes two about.
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push adds one at the end.
func (e *events) Push(x any) { *e = append(*e, x.(event)) }

// Pop takes the last one away.
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// calendar enters what happens by date: revocations, the end of each day, and
// every hour what a node does about old rows.
func (w *world) calendar(ctx context.Context) {
	for _, r := range w.Revokes {
		heap.Push(&w.events, event{w.dayAt(r.Day), func(ctx context.Context) error { return w.revoke(ctx, r.Share) }})
	}
	w.every(day, w.daily)
	w.every(time.Hour, w.age)
}

func (w *world) every(d time.Duration, do func(context.Context) error) {
	at := w.From.Add(d)
	var again func(context.Context) error
	again = func(ctx context.Context) error {
		if at = at.Add(d); !at.After(w.end) {
			heap.Push(&w.events, event{at, again})
		}
		return do(ctx)
	}
	heap.Push(&w.events, event{at, again})
}

// age drops what the ledger needs no more.
func (w *world) age(ctx context.Context) error {
	return w.db.Tx(ctx, w.now, func(tx *store.Tx) error {
		_, err := tx.Age(ctx, w.now.Add(-day), w.now.Add(-day), 50000)
		return err
	})
}

// revoke takes a share of all certificates back. Whoever holds one learns it when
// next asking for its window.
func (w *world) revoke(ctx context.Context, share float64) error {
	hit := map[string]bool{}
	ca := w.cas[w.Limits]
	some := ca.Some(share)
	ca.MassRevoke(0, func(i fakeca.Issued) bool {
		if i.Replaced || !some(i) {
			return false
		}
		hit[i.Serial] = true
		return true
	})
	polls := map[int64]time.Time{}
	var order []int64
	err := w.db.Serials(ctx, func(version int64, serial string) {
		if hit[serial] {
			order = append(order, version)
			polls[version] = w.now.Add(time.Duration(w.chance.Float64() * (0.8 + 0.4*w.chance.Float64()) * float64(pollEvery)))
		}
	})
	if err != nil {
		return err
	}
	return w.db.Tx(ctx, w.now, func(tx *store.Tx) error {
		for _, id := range order {
			if err := tx.PollAt(ctx, id, polls[id]); err != nil {
				return err
			}
		}
		return nil
	})
}

// pollEvery is how often a node asks for a window, as Let's Encrypt wants it.
const pollEvery = 6 * time.Hour

// account is an authority and an account there.
func (w *world) account(ctx context.Context, tx *store.Tx, label string) (*certfleet.Authority, *certfleet.Account, error) {
	a := &certfleet.Authority{Label: label, DirectoryURL: w.cas[label].DirectoryURL()}
	if err := tx.AddAuthority(ctx, a); err != nil {
		return nil, nil, err
	}
	acct := &certfleet.Account{AuthorityID: a.ID, Label: label, URL: w.cas[label].Enrol(), State: certfleet.AccountValid}
	return a, acct, tx.AddAccount(ctx, acct)
}
