package issue

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/preflight"
	"github.com/certfleet/certfleet/internal/store"
)

// Room is the issuing room. All fields but Preflight, Log, Luck and After must be set.
type Room struct {
	DB   *store.DB
	Keys *keystore.Keystore
	// Client speaks with an authority; record is told of every exchange.
	Client func(a *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error)
	// Solver finds the solver for a challenge type, by label or the only one there is.
	Solver func(typ certfleet.ChallengeType, label string) (certfleet.Solver, error)
	// Preflight looks whether an order would fail, before it goes out and after it
	// did; nil, or no report, means that nobody looks.
	Preflight func(ctx context.Context, at *certfleet.Authority, p *certfleet.Policy, asks []Ask) []preflight.Report
	Log       *slog.Logger
	// Luck is uniform in [0, 1), for what is spread out; chance if nil.
	Luck func() float64
	// After is called at the named places of a step; tests crash there.
	After func(place string)

	registering sync.Mutex // one account is registered at a time
	asked       askedLately

	mu      sync.Mutex
	clients map[int64]speaker // by authority, guarded by mu

	books  books
	turns  turns
	gates  gates
	census census
}

// callTime bounds one exchange with a CA, commitTime one write of what came of it.
const (
	callTime   = 45 * time.Second
	commitTime = 15 * time.Second
)

// job is all that a step needs to know of one order.
type job struct {
	order  *certfleet.Order
	cert   *certfleet.Certificate
	policy *certfleet.Policy
	terms  certfleet.PolicySpec // what the policy says of this order
	acct   *certfleet.Account
	client *acme.Client

	acctKey *certfleet.Key // as it was read with acct, nil if it had none
	as      acme.Account
	now     time.Time
	said    *record
	cost    func(store.Touch) outcome // what the next commit settles in the ledger
	opened  int64                     // the certificate's key, if it signed in this step
	was     string                    // the CA's status of the order, as it was committed last

	unwanted bool // a backup that the policy wants no more
}

// record collects the exchanges of a step until they are committed with it.
type record struct {
	mu   sync.Mutex
	list []certfleet.Exchange // guarded by mu
}

type recordKey struct{}

// withRecord makes exchanges of ctx go to a fresh record.
func withRecord(ctx context.Context) (context.Context, *record) {
	r := &record{}
	return context.WithValue(ctx, recordKey{}, r), r
}

func (r *record) take() []certfleet.Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// back keeps what was taken and not committed for the next commit.
func (r *record) back(list []certfleet.Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(list, r.list...)
}

func addExchange(ctx context.Context, x certfleet.Exchange) {
	if r, ok := ctx.Value(recordKey{}).(*record); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.list = append(r.list, x)
	}
}

// speaker is the client for an authority as it was when it was last looked at.
type speaker struct {
	client     *acme.Client
	url, trust string
	looked     time.Time
}

// ClientOf is the one client for an authority; clients share their nonces. An
// authority that was changed, on whatever node, gets another within seconds.
func (r *Room) ClientOf(ctx context.Context, authority int64) (*acme.Client, error) {
	r.mu.Lock()
	s, ok := r.clients[authority]
	r.mu.Unlock()
	if ok && time.Since(s.looked) < bookAge {
		return s.client, nil
	}
	a, err := r.DB.Authority(ctx, authority)
	if err != nil {
		return nil, err
	}
	if s.client == nil || s.url != a.DirectoryURL || s.trust != a.TrustPEM {
		if s.client, err = r.Client(a, addExchange); err != nil {
			return nil, err
		}
	}
	s.url, s.trust, s.looked = a.DirectoryURL, a.TrustPEM, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients == nil {
		r.clients = map[int64]speaker{}
	}
	r.clients[authority] = s
	return s.client, nil
}

// Forget makes the next step build its client anew, after an authority changed.
func (r *Room) Forget(authority int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clients, authority)
	r.books.forget(authority)
}

// load gathers what the order hangs on.
func (r *Room) load(ctx context.Context, o *certfleet.Order, now time.Time) (*job, error) {
	s, err := r.DB.StandingOf(ctx, o.CertificateID, o.AccountID)
	if err != nil {
		return nil, err
	}
	j := &job{order: o, was: o.CAStatus, now: now, cert: &s.Certificate, policy: &s.Policy, acct: &s.Account, acctKey: s.Key}
	if err := r.loadBackup(ctx, j); err != nil {
		return nil, err
	}
	if j.terms, err = r.termsWith(ctx, j.policy, s.Defaults); err != nil {
		return nil, err
	}
	if j.client, err = r.ClientOf(ctx, o.AuthorityID); err != nil {
		return nil, err
	}
	return j, nil
}

// commit writes the order, what was said with the CA, and what fn adds, in one
// transaction. What nodes of one store wait for each other at, the ledger and the
// counts of exchanges, comes last in it. What the CA did is written down even when
// the step is cut off, so fn gets a context of its own. What fn says on the order is
// taken back when it is not committed, so that no later commit writes half of it.
func (r *Room) commit(ctx context.Context, j *job, fn func(context.Context, *store.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	now := time.Now()
	said, opened := j.said.take(), j.opened
	j.opened = 0
	if j.order.Owner != "" && !j.order.LeaseUntil.IsZero() {
		j.order.LeaseUntil = now.Add(r.DB.Lease())
	}
	before, cost := *j.order, j.cost
	err := r.DB.Tx(ctx, now, func(tx *store.Tx) error {
		*j.order, j.cost = before, cost // it may be the second try
		if fn != nil {
			if err := fn(ctx, tx); err != nil {
				return err
			}
		}
		if proved(j.order.CAStatus) && !proved(j.was) {
			if err := tx.ProveAuthorizations(ctx, j.order.ID); err != nil {
				return err
			}
		}
		if opened != 0 {
			if err := tx.KeyOpened(ctx, opened, "request"); err != nil {
				return err
			}
		}
		if err := tx.SaveOrder(ctx, j.order); err != nil {
			return err
		}
		if j.cost != nil {
			if err := r.settle(ctx, tx, j.order.ID, j.cost); err != nil {
				return err
			}
		}
		return tx.AddExchanges(ctx, said)
	})
	if err != nil {
		*j.order, j.cost, j.opened = before, cost, opened
		j.said.back(said)
		return err
	}
	j.cost, j.was = nil, j.order.CAStatus
	return nil
}

func luck() float64 { return rand.Float64() }

func (r *Room) luck() float64 {
	if r.Luck == nil {
		return luck()
	}
	return r.Luck()
}

func (r *Room) at(place string) {
	if r.After != nil {
		r.After(place)
	}
}

func (r *Room) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}
