package issue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// Rehearsal takes orders through a CA in one piece, by its caller's clock and in
// its caller's transaction, for simulations. Everything that decides is the
// Room's: authority and failover, what the ledger allows, holds and costs, when
// to renew, to try again, to wait. Left out are keys, challenges, what is said
// about an order on the way, and the commits between its steps; a version is
// renewed in its own row.
type Rehearsal struct {
	Room *Room // with Luck
	// Exchange is all that is said with a CA about one order. Its errors are
	// *Away, *acme.Problem, or end the simulation.
	Exchange func(Placing) (Given, error)
	// Renewed is told of every order that ended well, with what was there before.
	Renewed func(at time.Time, was certfleet.Certificate, old certfleet.Version, o *certfleet.Order)

	desks map[int64]*desk // by policy
}

// Placing is an order as it leaves.
type Placing struct {
	At        time.Time
	Authority string // its label
	Account   string // its URL
	Names     []certfleet.Name
	Profile   string
	Replaces  string // an ARI id
}

// Given is what a CA issued.
type Given struct {
	Serial, ARIID       string
	NotBefore, NotAfter time.Time
	Window              plan.Window // zero where the CA offers no renewal information
}

// Away says that nobody answers before a moment.
type Away struct{ Until time.Time }

// Error says so without naming the moment, which a client cannot know.
func (*Away) Error() string { return "the CA does not answer" }

// desk is what all certificates of a policy share.
type desk struct {
	policy   *certfleet.Policy
	counters []counter // in the order of the policy's authorities
}

type counter struct {
	authority *certfleet.Authority
	account   *certfleet.Account
}

// deal is one order on its way.
type deal struct {
	cert *certfleet.Certificate
	old  *certfleet.Version // in use now; ID zero for none
	o    *certfleet.Order
	at   counter
	line *entry
}

func (h *Rehearsal) desk(ctx context.Context, policy int64) (*desk, error) {
	if d := h.desks[policy]; d != nil {
		return d, nil
	}
	p, err := h.Room.DB.Policy(ctx, policy)
	if err != nil {
		return nil, err
	}
	d := &desk{policy: p}
	for _, label := range p.Spec.Authorities {
		a, err := h.Room.DB.AuthorityByLabel(ctx, certfleet.DefaultTenant, label)
		if err != nil {
			return nil, err
		}
		acct, err := h.Room.DB.AccountAt(ctx, certfleet.DefaultTenant, a.ID)
		if err != nil {
			return nil, err
		}
		d.counters = append(d.counters, counter{a, acct})
	}
	if h.desks == nil {
		h.desks = map[int64]*desk{}
	}
	h.desks[policy] = d
	return d, nil
}

// choose is the authority whose turn it is; nobody's CAA forbids the second one.
func (d *desk) choose(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, v *certfleet.Version) counter {
	last := func() int {
		o, err := tx.LastOrder(ctx, cert.ID)
		if err != nil || o.State != certfleet.OrderFailed {
			return -1
		}
		return slices.IndexFunc(d.counters, func(c counter) bool { return c.authority.ID == o.AuthorityID })
	}
	return d.counters[plan.Chooses(len(d.counters), tx.Now(), v.NotBefore, v.NotAfter, cert.Failures, last, func(int) bool { return true })]
}

// Renew opens the order of a certificate whose turn it is, and takes it as far as
// it goes. v is its version in use, a zero one for none.
func (h *Rehearsal) Renew(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, v *certfleet.Version) error {
	desk, err := h.desk(ctx, cert.PolicyID)
	if err != nil {
		return err
	}
	d := &deal{cert: cert, old: v, at: desk.choose(ctx, tx, cert, v)}
	d.o = &certfleet.Order{Tenant: cert.Tenant, CertificateID: cert.ID, AuthorityID: d.at.authority.ID, AccountID: d.at.account.ID,
		Slot: SlotFor(desk.policy.Spec.KeyType), Lane: cert.Lane, Profile: desk.policy.Spec.Profile, Names: cert.Names}
	if plan.Replaces(v, d.o, d.o.AccountID) { // there is one account at each authority
		d.o.Replaces = v.ID
	}
	if err := h.enter(ctx, d, tx.Now()); err != nil {
		return err
	}
	no, err := d.line.weigh(ctx, tx)
	if err != nil {
		return err
	}
	if no != nil {
		if err := d.line.save(ctx, tx); err != nil {
			return err
		}
		return wait(ctx, tx, cert, no)
	}
	return h.place(ctx, tx, d)
}

// Step goes on with an order that had to wait.
func (h *Rehearsal) Step(ctx context.Context, tx *store.Tx, o *certfleet.Order, cert *certfleet.Certificate, v *certfleet.Version) error {
	desk, err := h.desk(ctx, cert.PolicyID)
	if err != nil {
		return err
	}
	d := &deal{cert: cert, old: v, o: o}
	for _, c := range desk.counters {
		if c.authority.ID == o.AuthorityID {
			d.at = c
		}
	}
	if err := h.enter(ctx, d, tx.Now()); err != nil {
		return err
	}
	d.line.lost = !o.PlacingAt.IsZero()
	if d.line.have, err = tx.HeldBy(ctx, o.ID); err != nil {
		return err
	}
	no, err := d.line.weigh(ctx, tx)
	if err != nil {
		return err
	}
	if no != nil {
		o.Problem, o.ProblemType = no.why, "rateLimited"
		return h.again(ctx, tx, d, max(no.until.Sub(tx.Now()), time.Second))
	}
	return h.place(ctx, tx, d)
}

// enter prepares the order's line in the ledger.
func (h *Rehearsal) enter(ctx context.Context, d *deal, now time.Time) error {
	b, err := h.Room.book(ctx, d.o.AuthorityID)
	if err != nil {
		return err
	}
	d.line = &entry{book: b, asking: plan.Asking{Account: accountOf(d.at.account), Names: d.o.Names}}
	if d.old.ID != 0 {
		exempt(&d.line.asking, d.o, d.old, now)
	}
	return nil
}

// place speaks with the CA. A refusal of replaces is answered by leaving it out, once.
func (h *Rehearsal) place(ctx context.Context, tx *store.Tx, d *deal) error {
	p := Placing{At: tx.Now(), Authority: d.at.authority.Label, Account: d.at.account.URL, Names: d.o.Names, Profile: d.o.Profile}
	if d.o.Replaces != 0 {
		p.Replaces = d.old.ARIID
	}
	d.o.PlacingAt = tx.Now()
	got, err := h.Exchange(p)
	if err != nil && p.Replaces != "" && refusesReplaces(err) {
		d.o.Replaces, p.Replaces = 0, ""
		got, err = h.Exchange(p)
	}
	if err != nil {
		return h.stumble(ctx, tx, d, err)
	}
	return h.issued(ctx, tx, d, got)
}

// close settles all that the order holds, and forgets it.
func (d *deal) close(ctx context.Context, tx *store.Tx, what func(store.Touch) outcome) error {
	for _, t := range d.line.kept {
		d.line.all[t.Key] = closed(d.line.all[t.Key], t, tx.Now(), what(t))
	}
	if err := d.line.save(ctx, tx); err != nil || d.o.ID == 0 {
		return err
	}
	return tx.Hold(ctx, d.o.ID, nil)
}

// issued ends the order: the version takes the old one's place, and its renewal
// is planned as its renewal information says.
func (h *Rehearsal) issued(ctx context.Context, tx *store.Tx, d *deal, got Given) error {
	was, old := *d.cert, *d.old
	if err := d.close(ctx, tx, allWell); err != nil {
		return err
	}
	v := d.old
	v.AuthorityID, v.Serial, v.NotBefore, v.NotAfter = d.o.AuthorityID, got.Serial, got.NotBefore, got.NotAfter
	v.ARIID, v.ARIStart, v.ARIEnd, v.ARIAt, v.ARIPollAt = got.ARIID, got.Window.Start, got.Window.End, time.Time{}, time.Time{}
	if !v.ARIStart.IsZero() {
		v.ARIAt = drawn(v, tx.Now(), h.Room.luck())
	}
	d.cert.VersionID, d.cert.NotAfter, d.cert.Failures, d.cert.Problem, d.cert.FailedAt = v.ID, v.NotAfter, 0, "", time.Time{}
	planRenewal(d.cert, v, tx.Now(), h.Room.luck())
	if err := tx.RenewInPlace(ctx, d.cert, v); err != nil {
		return err
	}
	if d.o.ID != 0 {
		d.o.State, d.o.VersionID, d.o.FinishedAt, d.o.Problem, d.o.ProblemType = certfleet.OrderIssued, v.ID, tx.Now(), "", ""
		if err := tx.SaveOrder(ctx, d.o); err != nil {
			return err
		}
	}
	h.Renewed(tx.Now(), was, old, d.o)
	return nil
}

// stumble does what an error means.
func (h *Rehearsal) stumble(ctx context.Context, tx *store.Tx, d *deal, cause error) error {
	d.o.Problem = cause.Error()
	if away, ok := errors.AsType[*Away](cause); ok {
		d.o.ProblemType = "unreachable"
		return h.until(ctx, tx, d, away.Until)
	}
	p, ok := errors.AsType[*acme.Problem](cause)
	if !ok {
		return cause
	}
	d.o.ProblemType = p.Name()
	passes, typ := answerOf(p).Passes(), p.Name()
	if answerOf(p).Limits() {
		names, err := h.learn(ctx, tx, d, p)
		if err != nil {
			return err
		}
		passes, typ = !names, "rateLimited"
	}
	if !passes {
		return h.fail(ctx, tx, d, failure{typ: typ, msg: p.Error(), retry: p.RetryAfter}, answerOf(p).Counts())
	}
	d.o.Attempts++
	return h.again(ctx, tx, d, plan.Again(tx.Now(), d.o.Attempts, p.RetryAfter, h.Room.luck()).Sub(tx.Now()))
}

// learn keeps what a refusal teaches, and says whether it concerns names alone.
func (h *Rehearsal) learn(ctx context.Context, tx *store.Tx, d *deal, p *acme.Problem) (names bool, err error) {
	l := plan.Learn(plan.Refusal{Authority: d.line.book.name, Account: accountOf(d.at.account), Names: d.o.Names, Detail: p.Detail, Help: p.Help, RetryAt: p.RetryAfter}, tx.Now())
	return l.OnNames(answerOf(p)), h.Room.remember(ctx, tx, d.line.book, &job{order: d.o, acct: d.at.account}, l, p.Error())
}

// until lets the order be tried again and again until somebody answers. The
// tries in between change nothing but their number, so they are not made.
func (h *Rehearsal) until(ctx context.Context, tx *store.Tx, d *deal, there time.Time) error {
	at := tx.Now()
	for once := true; once || at.Before(there); once = false {
		d.o.Attempts++
		at = plan.Again(at, d.o.Attempts, time.Time{}, h.Room.luck())
	}
	return h.again(ctx, tx, d, at.Sub(tx.Now()))
}

// again keeps the order, and what it holds, until its next try.
func (h *Rehearsal) again(ctx context.Context, tx *store.Tx, d *deal, in time.Duration) error {
	d.o.DueAt = tx.Now().Add(in)
	if err := d.line.save(ctx, tx); err != nil {
		return err
	}
	if d.o.ID != 0 {
		if err := tx.SaveOrder(ctx, d.o); err != nil {
			return err
		}
		return d.line.hold(ctx, tx, d.o.ID)
	}
	d.cert.DueAt, d.cert.DueReason = time.Time{}, ""
	if err := tx.SaveCertificate(ctx, d.cert); err != nil {
		return err
	}
	if err := tx.AddOrder(ctx, d.o); err != nil {
		return err
	}
	return d.line.hold(ctx, tx, d.o.ID)
}

// fail ends the order, which the CA has counted or not, and puts its certificate off.
func (h *Rehearsal) fail(ctx context.Context, tx *store.Tx, d *deal, f failure, isCounted bool) error {
	err := d.close(ctx, tx, func(t store.Touch) outcome {
		if t.When == string(plan.Asked) && isCounted {
			return counted
		}
		return released
	})
	if err != nil {
		return err
	}
	if d.o.ID != 0 {
		d.o.State, d.o.FinishedAt = certfleet.OrderFailed, tx.Now()
		if err := tx.SaveOrder(ctx, d.o); err != nil {
			return err
		}
	}
	return h.Room.putOff(ctx, tx, d.cert, f)
}

// Poll lets a version learn its window, as PollARI does with what the CA said.
func (h *Rehearsal) Poll(ctx context.Context, v *certfleet.Version, w plan.Window, now time.Time) error {
	return h.Room.keepWindow(ctx, v, acme.Window{Start: w.Start, End: w.End}, now, &record{})
}
