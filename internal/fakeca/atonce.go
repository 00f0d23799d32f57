package fakeca

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Ask is an order that goes through all of its steps at one moment, for
// simulations: no HTTP, no JSON, no signatures and no X.509, but the same limits,
// paces, faults, renewal windows and records as any order.
type Ask struct {
	Account  string // its URL
	Source   string // the client's address
	Names    []certfleet.Name
	Profile  string
	Replaces string // an ARI id
}

// Given is the certificate that an Ask got.
type Given struct {
	Serial, ARIID          string
	NotBefore, NotAfter    time.Time
	WindowStart, WindowEnd time.Time // when to renew, as renewal information says it
}

// Conversation are the requests by which a certificate for one name is got, from
// the order on; each further name adds those of Authorization.
var (
	Conversation  = []string{"newOrder", "authz", "challenge", "order", "finalize", "certificate", "certificate"}
	Authorization = []string{"authz", "challenge"}
)

// ErrNobody is what a request gets while nobody answers.
var ErrNobody = errDropped

// Enrol makes an account whose key nobody needs to know.
func (ca *CA) Enrol() string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	a := &account{n: uint64(len(ca.accounts) + 1), status: "valid"}
	ca.accounts = append(ca.accounts, a)
	return a.url(ca.base)
}

// AtOnce takes an order through all of its steps now. The error is ErrNobody or a
// *Problem. What went wrong on the way, and does not end a real order, is asked
// again at once: a nonce that was refused, an answer that was lost after new-order.
func (ca *CA) AtOnce(a Ask) (Given, error) {
	now := ca.o.Now()
	s := ca.visitor(a, now)
	if s.who == nil {
		return Given{}, problem(400, "accountDoesNotExist", "account %q not found", a.Account)
	}
	if err := ca.hear(s.call, "newOrder"); err != nil {
		return Given{}, err
	}
	o, p := ca.orderAtOnce(s, a)
	if p != nil {
		return Given{}, p
	}
	list := Conversation[1:]
	for range a.Names[1:] {
		list = append(slices.Clip(list), Authorization...)
	}
	for _, endpoint := range list {
		if err := ca.hear(s.call, endpoint); err != nil && !errors.Is(err, ErrNobody) {
			return Given{}, err
		}
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	for _, n := range o.names {
		ca.limits.succeeded(s.who, n.Base())
	}
	return ca.give(o, now, func() { ca.limits.issued(o, ca.base, now) }), nil
}

// Remember enters a certificate that was issued at an earlier moment, and counts
// against no limit.
func (ca *CA) Remember(a Ask, at time.Time) (Given, error) {
	s := ca.visitor(a, at)
	o, p := ca.drawUp(s, a)
	if p != nil {
		return Given{}, p
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	o.id = ca.nextID()
	return ca.give(o, at, func() {}), nil
}

func (ca *CA) visitor(a Ask, now time.Time) *session {
	c := &call{ctx: context.Background(), method: http.MethodPost, base: ca.base, source: a.Source, now: now}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return &session{call: c, who: ca.find(a.Account, ca.base)}
}

// hear counts a request and lets paces and faults answer it. A nonce that is
// refused costs another request and nothing else.
func (ca *CA) hear(c *call, endpoint string) error {
	c.endpoint = endpoint
	for {
		ca.mu.Lock()
		ca.stats.Requests[endpoint]++
		any := len(ca.faults) > 0
		ca.mu.Unlock()
		if p := ca.paced(c); p != nil {
			return p
		}
		if !any {
			return nil
		}
		if ca.strikes(endpoint, c.now, Outage, Dropped) != nil {
			return ErrNobody
		}
		if f := ca.strikes(endpoint, c.now, ServerError, RateLimited); f != nil {
			return f.problem(c)
		}
		if ca.strikes(endpoint, c.now, BadNonce) == nil {
			return nil
		}
	}
}

// problem is the fault's answer as a Problem.
func (f *Fault) problem(c *call) *Problem {
	p := problem(http.StatusInternalServerError, "serverInternal", "something went wrong")
	if f.Kind == RateLimited {
		p = problem(http.StatusTooManyRequests, "rateLimited", "too many requests")
	}
	p.header = f.refusal(c).header
	return p
}

func (ca *CA) drawUp(s *session, a Ask) (*order, *Problem) {
	profile, p := ca.profile(a.Profile, s.now)
	if p != nil {
		return nil, p
	}
	if n := len(a.Names); n == 0 || n > ca.o.Profiles[profile].MaxNames {
		return nil, malformed("an order must have 1 to %d identifiers, not %d", ca.o.Profiles[profile].MaxNames, n)
	}
	o := &order{who: s.who, profile: profile, replaces: a.Replaces, names: slices.Clone(a.Names)}
	slices.SortFunc(o.names, func(a, b certfleet.Name) int { return strings.Compare(a.String(), b.String()) })
	o.set = hash(certfleet.SetKey(o.names))
	return o, nil
}

func (ca *CA) orderAtOnce(s *session, a Ask) (*order, *Problem) {
	if p := ca.scripted(s.call, a.Replaces != ""); p != nil {
		return nil, p
	}
	o, p := ca.drawUp(s, a)
	if p != nil {
		return nil, p
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	old, inWindow, p := ca.replaced(s, o)
	if p == nil {
		p = ca.mayOrder(s, o, inWindow)
	}
	if p != nil {
		return nil, p
	}
	o.id = ca.nextID()
	if old != nil {
		old.replacedBy = o.id
	}
	ca.stats.Orders++
	ca.count(old, o, s.now)
	return o, nil
}

// give enters the certificate. The caller holds the lock.
func (ca *CA) give(o *order, now time.Time, count func()) Given {
	from, to := span(o, ca.o.Profiles[o.profile].at(now).Life, now)
	n := ca.certs.add(record{order: o.id, begins: from.Unix(), life: uint32(to.Sub(from)/time.Second) + 1, who: uint32(o.who.n), profile: uint8(o.profile), set: o.set, names: hashes(o.names)})
	if ca.o.Lean {
		ca.certs.forgetExpired(ca.o.Now())
	}
	if r := ca.certs.named(o.replaces); r != nil {
		r.state |= replaced
	}
	ca.sets[o.set] = struct{}{}
	count()
	ca.stats.Issued++
	serial := ca.certs.number(n, ca.o.Seed).Bytes()
	g := Given{Serial: ca.certs.serial(n, ca.o.Seed), NotBefore: from, NotAfter: to}
	g.ARIID = b64.EncodeToString(ca.signer.intermediates[0].SubjectKeyId) + "." + b64.EncodeToString(serial)
	g.WindowStart, g.WindowEnd = ca.certs.at(n).window(now)
	return g
}

// Window is what renewal information says of a certificate now.
func (ca *CA) Window(ariID string) (start, end time.Time, ok bool) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.stats.Requests["renewalInfo"]++
	n, p := ca.parseARI(ariID)
	if p != nil {
		return start, end, false
	}
	start, end = ca.certs.at(n).window(ca.o.Now())
	return start, end, true
}
