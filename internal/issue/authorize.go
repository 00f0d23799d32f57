package issue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// seenTime bounds the wait until a presented challenge can be seen, unless the
// solver's own patience is shorter.
const seenTime = 10 * time.Minute

// answerAgain is how long a CA may take to look before it is told once more. Many
// leave a challenge pending until they have looked, and each answer makes them
// look again: every look that fails counts against their limits.
const answerAgain = time.Minute

// pending is one authorization that the CA still wants proof for.
type pending struct {
	authz  acme.Authorization
	ch     acme.Challenge
	row    certfleet.Authorization
	stored certfleet.StoredChallenge
	solver certfleet.Solver
	auth   string // the key authorization by the account's key as it is now
	told   bool   // the CA was told to look in this step
	said   string // the challenge's status, as the CA answered
}

// waits reports whether the CA still has to be told to look at the challenge.
func (p *pending) waits(now time.Time) bool {
	return p.ch.Status == statusPending && (p.stored.AnsweredAt.IsZero() || now.After(p.tellAt()))
}

// tellAt is from when on the CA is to be told to look: as soon as the challenge is
// presented, and again the less often the longer the CA takes.
func (p *pending) tellAt() time.Time {
	if p.stored.AnsweredAt.IsZero() {
		return p.stored.PresentedAt
	}
	first := p.stored.PresentedAt
	if p.stored.Type == certfleet.TLSALPN01 { // which is presented anew for each turn
		first = p.stored.IntendedAt
	}
	return p.stored.AnsweredAt.Add(max(p.stored.AnsweredAt.Sub(first), answerAgain))
}

// since is when the CA's look began, as far as we know.
func (p *pending) since(now time.Time) time.Time {
	switch {
	case p.told:
		return now
	case p.stored.AnsweredAt.IsZero():
		return p.stored.PresentedAt
	}
	return p.stored.AnsweredAt
}

func (p *pending) challenge() certfleet.Challenge {
	return certfleet.Challenge{Type: p.stored.Type, Name: p.stored.Name, Token: p.stored.Token, KeyAuth: p.stored.KeyAuth}
}

// authorize brings every pending authorization of an order one thing further:
// intended, presented, seen, answered.
func (r *Room) authorize(ctx context.Context, j *job, ord acme.Order) (time.Duration, error) {
	all, more, err := r.askAuthorizations(ctx, j, ord)
	if err != nil && len(all) == 0 {
		return 0, err
	}
	asking := err // what was answered before it is kept
	for _, z := range all {
		switch z.Status {
		case statusInvalid:
			return 0, r.failAuthorization(ctx, j, z)
		case "deactivated", "expired", "revoked": // none of them ever becomes valid (RFC 8555 section 7.1.6)
			return 0, r.fail(ctx, j, failure{typ: "expired", msg: "the authorization of " + z.Name.String() + " is " + z.Status, advice: "wait: a new order follows"})
		}
	}
	work, taken, err := r.intend(ctx, j, all)
	if err == nil {
		err = asking
	}
	if err != nil {
		return 0, err
	}
	if f, ok := endless(j, work); ok {
		return 0, r.fail(ctx, j, f)
	}
	if taken {
		return handshakeTurn, nil
	}
	r.at("intended")
	if err := r.present(ctx, j, work); err != nil {
		return 0, err
	}
	r.at("presented")
	wait, err := r.seen(ctx, j, work)
	if err == nil && wait == 0 {
		var left bool
		wait, left, err = r.answer(ctx, j, work)
		more = more || left
	}
	if more {
		wait = 0
	}
	return wait, err
}

// proved reports whether an order gets to this status at the CA only by having
// all its authorizations valid (RFC 8555 section 7.1.6).
func proved(status string) bool {
	return status == statusReady || status == statusProcessing || status == statusValid
}

// intend records all that the CA said, and what is about to be presented for
// it, in one commit. A challenge whose present is the commit is presented by it.
// It reports when a name's handshakes are taken by another order: then nothing is
// presented.
func (r *Room) intend(ctx context.Context, j *job, all []acme.Authorization) (_ []*pending, taken bool, err error) {
	var work []*pending
	for _, z := range all {
		p := &pending{authz: z, row: row(j, z)}
		if z.Status == statusPending {
			if err := r.pick(ctx, j, p); err != nil {
				return nil, false, err
			}
		}
		work = append(work, p)
	}
	err = r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
		if taken, err = handshakesTaken(ctx, tx, work); err != nil {
			return err
		}
		for _, p := range work {
			if err := tx.SeeAuthorization(ctx, &p.row); err != nil {
				return err
			}
			if p.solver == nil || taken {
				continue
			}
			if err := intendOne(ctx, tx, j, p); err != nil {
				return err
			}
		}
		return nil
	})
	var left []*pending
	for _, p := range work {
		if p.solver != nil {
			left = append(left, p)
		}
	}
	return left, taken, err
}

func intendOne(ctx context.Context, tx *store.Tx, j *job, p *pending) error {
	p.stored.AuthorizationID = p.row.ID
	if p.stored.Type != certfleet.DNS01 {
		p.stored.PresentedAt = tx.Now() // any node answers from this row: the commit is the present
	}
	if err := tx.IntendChallenge(ctx, &p.stored); err != nil {
		return err
	}
	if p.stored.Type != certfleet.TLSALPN01 || !p.waits(j.now) || p.stored.PresentedAt.Equal(tx.Now()) {
		return nil
	}
	p.stored.PresentedAt = tx.Now() // it had its turn before, and now has another
	return tx.Presented(ctx, p.stored.ID, p.stored.State)
}

// handshakeTurn is how soon an order asks again whether handshakes are its own. It
// is long enough that no worker waits for it.
const handshakeTurn = 3 * time.Second

// handshakesTaken reports whether another order of one of the names has a CA look
// at tls-alpn-01 right now. A handshake shows one answer (RFC 8737 section 3), so
// a primary and a backup, or an ECDSA and an RSA certificate, go one after the other.
func handshakesTaken(ctx context.Context, tx *store.Tx, work []*pending) (bool, error) {
	now := tx.Now()
	var wanted []*certfleet.StoredChallenge
	for _, p := range work {
		if p.solver != nil && p.stored.Type == certfleet.TLSALPN01 && p.waits(now) {
			wanted = append(wanted, &p.stored)
		}
	}
	slices.SortFunc(wanted, func(a, b *certfleet.StoredChallenge) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	for _, c := range wanted {
		if taken, err := tx.HandshakeTaken(ctx, c, now.Add(-answerAgain)); err != nil || taken {
			return taken, err
		}
	}
	return false, nil
}

func row(j *job, z acme.Authorization) certfleet.Authorization {
	a := certfleet.Authorization{OrderID: j.order.ID, URL: z.URL, Name: z.Name, Wildcard: z.Wildcard, Status: z.Status, ExpiresAt: z.Expires}
	for _, c := range z.Challenges {
		if c.Problem != nil {
			a.Problem = c.Problem.Error()
		}
	}
	return a
}

// pick chooses challenge and solver for an authorization.
func (r *Room) pick(ctx context.Context, j *job, p *pending) error {
	typ, label, err := r.method(ctx, j, p.authz)
	if err != nil {
		return err
	}
	for _, c := range p.authz.Challenges {
		if c.Type == typ {
			p.ch = c
		}
	}
	if p.ch.URL == "" {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the CA offers no %s challenge for %s", typ, p.authz.Name), Advice: "choose another challenge type in the policy"}
	}
	if p.solver, err = r.Solver(typ, label); err != nil {
		return err
	}
	auth, err := acme.KeyAuthorization(p.ch.Token, j.as.Key)
	if err != nil {
		return err
	}
	p.row.Challenge, p.auth = typ, auth
	p.stored = certfleet.StoredChallenge{Tenant: j.order.Tenant, OrderID: j.order.ID, Type: typ, Solver: label, URL: p.ch.URL, Status: p.ch.Status, Name: p.authz.Name, Token: p.ch.Token, KeyAuth: auth}
	return nil
}

// method is how control of a name is proved: as its domain says, else as the
// policy says, else http-01; a wildcard has no choice (RFC 8555 section 7.1.3).
func (r *Room) method(ctx context.Context, j *job, z acme.Authorization) (certfleet.ChallengeType, string, error) {
	typ, label := j.policy.Spec.Challenge, j.policy.Spec.Solver
	d, err := r.DB.Domain(ctx, j.order.Tenant, ordered(z.Name, z.Wildcard))
	if err != nil && certfleet.KindOf(err) != certfleet.NotFound {
		return "", "", err
	}
	if err == nil {
		if typ, label, err = r.proofOf(ctx, j, d, typ, label); err != nil {
			return "", "", err
		}
	}
	switch {
	case z.Wildcard && typ != certfleet.DNS01:
		return certfleet.DNS01, "", nil
	case typ == "":
		return certfleet.HTTP01, "", nil
	}
	return typ, label, nil
}

// proofOf is how a domain says that it is proved. One with a second challenge
// type takes turns after failures that the other type may be spared.
func (r *Room) proofOf(ctx context.Context, j *job, d *certfleet.Domain, typ certfleet.ChallengeType, label string) (certfleet.ChallengeType, string, error) {
	if d.Challenge != "" {
		typ, label = d.Challenge, d.Solver
	}
	if j.cert == nil || j.cert.Failures == 0 {
		return typ, label, nil
	}
	s, err := r.DB.SecondProof(ctx, d.ID)
	if err != nil || s.Challenge == "" {
		return typ, label, err
	}
	if other, err := r.otherTurn(ctx, j, d.Name); err != nil || !other {
		return typ, label, err
	}
	return s.Challenge, s.Solver, nil
}

// present makes visible what is not yet, and commits each solver's own state.
func (r *Room) present(ctx context.Context, j *job, work []*pending) error {
	for _, p := range work {
		if err := r.refresh(ctx, j, p); err != nil {
			return err
		}
		if !p.stored.PresentedAt.IsZero() {
			continue
		}
		state, err := r.presentOne(ctx, p)
		if err != nil {
			return fmt.Errorf("present %s for %s: %w", p.stored.Type, p.stored.Name, err)
		}
		if err := r.presented(ctx, p, state); err != nil {
			return err
		}
	}
	return nil
}

// presented commits what a solver made visible, and its state sealed: even when
// the step is cut off, because only the state says what there is to clean up.
func (r *Room) presented(ctx context.Context, p *pending, state []byte) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	if len(state) > 0 {
		if p.stored.State, err = r.Keys.Seal(ctx, state, solverAAD(&p.stored)); err != nil {
			return err
		}
	}
	p.stored.PresentedAt = time.Now()
	return r.DB.Tx(ctx, p.stored.PresentedAt, func(tx *store.Tx) error { return tx.Presented(ctx, p.stored.ID, p.stored.State) })
}

func (r *Room) presentOne(ctx context.Context, p *pending) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return p.solver.Present(ctx, p.challenge())
}

// solverAAD binds a solver's sealed state to its challenge.
func solverAAD(c *certfleet.StoredChallenge) string {
	return fmt.Sprintf("challenge:%d:%s", c.OrderID, c.Token)
}

// seen asks the solvers that need time whether their answers can be seen.
func (r *Room) seen(ctx context.Context, j *job, work []*pending) (time.Duration, error) {
	for _, p := range work {
		w, ok := p.solver.(certfleet.Waiter)
		if !ok || !p.waits(j.now) {
			continue
		}
		state, err := r.solverState(ctx, &p.stored)
		if err != nil {
			return 0, err
		}
		ready, saw, err := r.look(ctx, w, p, state)
		if ready {
			continue
		}
		if err != nil {
			saw = err.Error()
		}
		if err := r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SawChallenge(ctx, p.stored.ID, saw) }); err != nil {
			return 0, err
		}
		if time.Since(p.tellAt()) > seenTime {
			return 0, r.fail(ctx, j, failure{typ: "notVisible", msg: fmt.Sprintf("the %s record of %s was not visible after %s: %s", p.stored.Type, p.stored.Name, seenTime, saw),
				advice: "look at the zone's name servers: " + p.challenge().DNSName() + " must answer with the TXT value"})
		}
		return max(plan.Poll(time.Now(), p.stored.PresentedAt, 0, seenTime), 250*time.Millisecond), nil
	}
	return 0, nil
}

func (r *Room) look(ctx context.Context, w certfleet.Waiter, p *pending, state []byte) (bool, string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return w.Ready(ctx, p.challenge(), state)
}

func (r *Room) solverState(ctx context.Context, c *certfleet.StoredChallenge) ([]byte, error) {
	if len(c.State) == 0 {
		return nil, nil
	}
	return r.Keys.Open(ctx, c.State, solverAAD(c))
}

// answer tells the CA to look, for every challenge it has not begun with, and
// says how long to wait for its verdict. An order without any is one whose CA
// takes its time. More reports that the rest has to wait for the next step.
func (r *Room) answer(ctx context.Context, j *job, work []*pending) (wait time.Duration, more bool, err error) {
	retry, more, cause := r.tell(ctx, j, work)
	r.at("answered")
	if cause == nil {
		j.order.Attempts = 0
	}
	err = r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
		for _, p := range work {
			if p.told {
				if err := tx.Answered(ctx, p.stored.ID, p.said); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = cause
	}
	return plan.Poll(j.now, lookedSince(j, work), retry, j.patience()), more, err
}

// tell tells the CA to look, until its time is up or the CA refuses. Retry is the
// longest wait that the CA asks for.
func (r *Room) tell(ctx context.Context, j *job, work []*pending) (retry time.Duration, more bool, err error) {
	began := time.Now()
	for _, p := range work {
		if !p.waits(j.now) {
			retry = max(retry, p.authz.RetryAfter)
			continue
		}
		if time.Since(began) > turnTime {
			return retry, true, nil
		}
		ch, err := j.client.Answer(ctx, j.as, p.ch.URL)
		if err != nil {
			return retry, false, err
		}
		p.told, p.said, retry = true, ch.Status, max(retry, ch.RetryAfter)
	}
	return retry, false, nil
}

// patience is how long the order's CA is left alone at most.
func (j *job) patience() time.Duration { return plan.Patience(j.order.Lane, j.now, j.cert.NotAfter) }

// lookedSince is when the first of the CA's looks began.
func lookedSince(j *job, work []*pending) time.Time {
	if len(work) == 0 {
		return j.order.PlacingAt
	}
	began := j.now
	for _, p := range work {
		if at := p.since(j.now); at.Before(began) {
			began = at
		}
	}
	return began
}
