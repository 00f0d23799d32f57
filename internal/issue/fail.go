package issue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/preflight"
	"github.com/certfleet/certfleet/internal/store"
)

// failure is why an order ended without a version.
type failure struct {
	typ    string // a word for counting: the ACME problem's name, or ours
	msg    string // as the CA said it
	advice string
	retry  time.Time // the CA's own word on when to come again
	final  bool      // nothing follows

	class  preflight.Class  // what has to be done about it; by type and words when empty
	names  []certfleet.Name // whose fault it is, where that is known
	looked bool             // we have looked at them ourselves
}

// refused ends an order that the CA calls invalid, for the reason it names: the
// first authorization that failed says more than the order.
func (r *Room) refused(ctx context.Context, j *job, ord acme.Order) error {
	for _, u := range ord.Authorizations {
		z, err := j.client.GetAuthorization(ctx, j.as, u)
		if err == nil && z.Status == statusInvalid {
			return r.failAuthorization(ctx, j, z)
		}
	}
	if ord.Problem != nil {
		return r.failProblem(ctx, j, "", "", ord.Problem)
	}
	return r.fail(ctx, j, failure{typ: "invalid", msg: "the CA calls the order invalid and does not say why", advice: "look at the order's exchanges: certfleet orders show"})
}

func (r *Room) failAuthorization(ctx context.Context, j *job, z acme.Authorization) error {
	rowErr := r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		a := row(j, z)
		return tx.SeeAuthorization(ctx, &a)
	})
	if rowErr != nil {
		return rowErr
	}
	for _, c := range z.Challenges {
		if c.Problem != nil {
			return r.failProblem(ctx, j, z.Name.String(), c.Type, c.Problem)
		}
	}
	return r.fail(ctx, j, failure{typ: "unauthorized", msg: "the CA calls the authorization of " + z.Name.String() + " invalid", advice: "look at the order's exchanges"})
}

func (r *Room) failProblem(ctx context.Context, j *job, name string, typ certfleet.ChallengeType, p *acme.Problem) error {
	msg := p.Error()
	if name != "" {
		msg = name + ": " + msg
	}
	f := failure{typ: p.Name(), msg: msg, advice: Advice(p, typ), retry: p.RetryAfter}
	r.explain(ctx, j, name, typ, &f)
	return r.fail(ctx, j, f)
}

// fail ends the order, and says on the certificate what happened and when the
// next try is. Authorizations that would stay pending are given up first.
func (r *Room) fail(ctx context.Context, j *job, f failure) error {
	r.giveUp(ctx, j)
	if f.class == "" {
		f.class = Classify(f.typ, f.msg, nil)
	}
	f.advice = preflight.Possible(f.advice, j.order.Names...)
	return r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
		o := j.order
		o.State, o.FinishedAt = certfleet.OrderFailed, tx.Now()
		o.Problem, o.ProblemType, o.Advice = f.msg, f.typ, f.advice
		o.Owner, o.LeaseUntil = "", time.Time{}
		if err := tx.CleanLater(ctx, o.ID); err != nil {
			return err
		}
		cost, err := r.ended(ctx, tx, j)
		if err != nil {
			return err
		}
		j.cost = cost
		e := j.event("order.failed", f.msg)
		e.Data = map[string]string{"class": string(f.class)}
		if err := tx.Event(ctx, e); err != nil {
			return err
		}
		if f.final {
			return nil
		}
		cert, err := tx.Certificate(ctx, j.cert.ID)
		if err != nil {
			return err
		}
		if o.Slot == certfleet.SlotBackup {
			return putOffBackup(ctx, tx, cert, f)
		}
		return r.putOff(ctx, tx, cert, f)
	})
}

// putOff plans the next order after a failure.
func (r *Room) putOff(ctx context.Context, tx *store.Tx, cert *certfleet.Certificate, f failure) error {
	cert.Failures++
	cert.Problem, cert.Advice, cert.FailedAt = f.msg, f.advice, tx.Now()
	if parked, err := r.park(ctx, tx, cert, f); err != nil {
		return err
	} else if !parked && cert.State == certfleet.Active {
		cert.DueAt = plan.Backoff(tx.Now(), cert.Failures, cert.NotAfter, r.luck())
		if f.retry.After(cert.DueAt) {
			cert.DueAt = plan.Again(tx.Now(), 1, f.retry, 0)
		}
		cert.DueReason = fmt.Sprintf("try %d after a failure", cert.Failures+1)
	}
	return tx.SaveCertificate(ctx, cert)
}

// giveUp deactivates what the CA would else keep pending (RFC 8555 section
// 7.5.2). It tries once: a pending authorization expires by itself.
func (r *Room) giveUp(ctx context.Context, j *job) {
	if j.as.URL == "" || j.order.URL == "" {
		return
	}
	list, err := r.ownPending(ctx, j)
	if err != nil {
		return
	}
	for _, a := range list {
		z, err := j.client.DeactivateAuthorization(ctx, j.as, a.URL)
		if err != nil {
			r.log().Debug("deactivate an authorization", "order_id", j.order.ID, "name", a.Name.String(), "err", err)
			continue
		}
		a.Status = z.Status
		if err := r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SeeAuthorization(ctx, &a) }); err != nil {
			return
		}
	}
}

// ownPending are the authorizations of an order that are pending as far as we know
// and that no other order of the account can have: a CA may give two orders the
// same one, valid or pending, and it would be taken from the other.
func (r *Room) ownPending(ctx context.Context, j *job) ([]certfleet.Authorization, error) {
	list, err := r.DB.AuthorizationsOf(ctx, j.order.ID)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(a certfleet.Authorization) bool { return a.Status != statusPending })
	names := make([]certfleet.Name, len(list))
	for i, a := range list {
		names[i] = ordered(a.Name, a.Wildcard)
	}
	taken, err := r.DB.AlsoOrdered(ctx, j.order, names)
	return slices.DeleteFunc(list, func(a certfleet.Authorization) bool {
		return slices.Contains(taken, ordered(a.Name, a.Wildcard).String())
	}), err
}

// ordered is the name that was ordered, of which an authorization leaves out the star.
func ordered(n certfleet.Name, wildcard bool) certfleet.Name {
	if wildcard {
		n, _ = certfleet.ParseName("*." + n.String())
	}
	return n
}

// stumble decides what an error in the middle of a step means: the order ends
// when the CA refused it for good, else the step is repeated later. Trouble of
// the database says nothing about the order.
func (r *Room) stumble(ctx context.Context, j *job, cause error) (time.Duration, error) {
	if errors.Is(cause, store.ErrStale) || store.Trouble(cause) || ctx.Err() == context.Canceled {
		return 0, cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	if p, ok := errors.AsType[*acme.Problem](cause); ok {
		return r.stumbleOver(ctx, j, p)
	}
	switch certfleet.KindOf(cause) {
	case certfleet.Invalid, certfleet.Denied:
		return 0, r.fail(ctx, j, failure{typ: "configuration", msg: cause.Error(), advice: certfleet.AdviceOf(cause)})
	case certfleet.Limited:
		return r.later(ctx, j, "rateLimited", cause, certfleet.AdviceOf(cause), certfleet.RetryOf(cause))
	}
	return r.later(ctx, j, "unreachable", cause, certfleet.AdviceOf(cause), certfleet.RetryOf(cause))
}

// The longest waits that a CA can mean: no published limit is longer than a week,
// and one with trouble of its own is asked again within hours. A mistaken
// Retry-After would else last until certificates expire.
const (
	limitMost   = 8 * 24 * time.Hour
	troubleMost = 6 * time.Hour
)

// meant is a refusal with a Retry-After that can be meant.
func meant(p *acme.Problem, now time.Time) *acme.Problem {
	latest := now.Add(limitMost)
	if p.Status >= 500 {
		latest = now.Add(troubleMost)
	}
	return until(p, latest)
}

// until is a refusal with a Retry-After that is not later than a moment.
func until(p *acme.Problem, latest time.Time) *acme.Problem {
	if !p.RetryAfter.After(latest) {
		return p
	}
	q := *p
	q.RetryAfter = latest
	return &q
}

func (r *Room) stumbleOver(ctx context.Context, j *job, p *acme.Problem) (time.Duration, error) {
	p = meant(p, time.Now())
	switch {
	case answerOf(p).Limits():
		return r.limited(ctx, j, p)
	case p.Status >= 500:
		if err := r.pause(ctx, pauseAuthority(j.order.AuthorityID), p); err != nil {
			return 0, err
		}
		return r.later(ctx, j, "serverInternal", p, "wait: the CA has trouble of its own", p.RetryAfter)
	case answerOf(p).Passes():
		return r.later(ctx, j, p.Name(), p, "wait: the next step asks again", p.RetryAfter)
	case p.Name() == "accountDoesNotExist":
		return 0, r.lostAccount(ctx, j, p)
	}
	return 0, r.fail(ctx, j, failure{typ: p.Name(), msg: p.Error(), advice: Advice(p, ""), retry: p.RetryAfter})
}

// limited keeps the CA's word. A limit on names ends this order alone; any other
// stops new orders of the account, but not the orders that are open.
func (r *Room) limited(ctx context.Context, j *job, p *acme.Problem) (time.Duration, error) {
	names, p, err := r.learn(ctx, j, p)
	if err != nil {
		return 0, err
	}
	if names {
		return 0, r.fail(ctx, j, failure{typ: "rateLimited", msg: p.Error(), advice: Advice(p, ""), retry: p.RetryAfter})
	}
	return r.later(ctx, j, "rateLimited", p, Advice(p, ""), p.RetryAfter)
}

func (r *Room) pause(ctx context.Context, key string, p *acme.Problem) error {
	if p.RetryAfter.IsZero() {
		return nil
	}
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		return tx.Pause(ctx, key, plan.Again(tx.Now(), 0, p.RetryAfter, 0), p.Error())
	})
}

// later keeps the order open and says on it why it waits, until the CA has
// forgotten it anyway: then the next order may fare better.
func (r *Room) later(ctx context.Context, j *job, typ string, cause error, advice string, retry time.Time) (time.Duration, error) {
	o := j.order
	if !o.ExpiresAt.IsZero() && time.Now().After(o.ExpiresAt) {
		return 0, r.fail(ctx, j, failure{typ: typ, msg: "the order expired: " + cause.Error(), advice: advice, retry: retry})
	}
	if r.movesOn(ctx, j) {
		return 0, r.fail(ctx, j, failure{typ: typ, msg: cause.Error(), advice: advice})
	}
	o.Attempts++
	o.Problem, o.ProblemType, o.Advice = cause.Error(), typ, advice
	at := plan.Again(time.Now(), o.Attempts, retry, r.luck())
	if err := r.commit(ctx, j, nil); err != nil {
		return 0, err
	}
	r.log().Warn("order waits", "order_id", o.ID, "certificate", j.cert.Label, "attempts", o.Attempts, "until", at, "err", cause)
	return max(time.Until(at), time.Millisecond), nil
}
