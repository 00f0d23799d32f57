package issue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/store"
)

// The statuses of an order at the CA (RFC 8555 section 7.1.6).
const (
	statusPending    = "pending"
	statusReady      = "ready"
	statusProcessing = "processing"
	statusValid      = "valid"
	statusInvalid    = "invalid"
)

// Step does the one next thing for a claimed order and says when to step again;
// the zero time means that the order has ended. An error is for the log: what
// can be said of it stands on the order already.
func (r *Room) Step(ctx context.Context, o *certfleet.Order) (time.Time, error) {
	if !o.Live() {
		return time.Time{}, nil
	}
	ctx, said := withRecord(ctx)
	ctx, cancel := context.WithTimeout(ctx, 4*callTime)
	defer cancel()
	ctx = acme.WithOrder(ctx, o.ID, o.AccountID, o.AuthorityID)
	j, err := r.load(ctx, o, time.Now())
	if err != nil {
		return time.Time{}, err
	}
	j.said = said
	wait, err := r.advanceAgain(ctx, j)
	if err != nil {
		wait, err = r.stumble(ctx, j, err)
	}
	if err != nil || !o.Live() {
		return time.Time{}, err
	}
	return time.Now().Add(wait), nil
}

// advance asks the CA how the order stands and does what follows from it.
func (r *Room) advance(ctx context.Context, j *job) (time.Duration, error) {
	if j.cert.State == certfleet.Removed || j.unwanted {
		return 0, r.removed(ctx, j)
	}
	if done, err := r.ensureAccount(ctx, j); err != nil || !done {
		return 0, err
	}
	if j.order.URL == "" {
		return r.place(ctx, j)
	}
	ord, err := j.client.GetOrder(ctx, j.as, j.order.URL)
	if err != nil {
		return 0, r.orderGone(ctx, j, err)
	}
	return r.follow(ctx, j, ord)
}

// follow does what follows from how the CA says that the order stands.
func (r *Room) follow(ctx context.Context, j *job, ord acme.Order) (time.Duration, error) {
	j.order.CAStatus = ord.Status
	switch ord.Status {
	case statusPending:
		return r.authorize(ctx, j, ord)
	case statusReady:
		return r.finalize(ctx, j, ord)
	case statusProcessing:
		return r.processing(ctx, j, ord)
	case statusValid:
		return r.download(ctx, j, ord)
	case statusInvalid:
		return 0, r.refused(ctx, j, ord)
	}
	return 0, fmt.Errorf("the CA says the order is %q, which RFC 8555 does not know", ord.Status)
}

// removed ends the order of a certificate that nobody wants any more.
func (r *Room) removed(ctx context.Context, j *job) error {
	if j.order.URL != "" {
		if err := r.signAs(ctx, j); err != nil {
			return err
		}
		// What is pending at the CA is given up with it.
	}
	return r.fail(ctx, j, failure{typ: "removed", msg: "the certificate was removed", final: true})
}

// place sends new-order once. The intent is committed before, so that what was
// lost in between is known and counted.
func (r *Room) place(ctx context.Context, j *job) (time.Duration, error) {
	until, reason, err := r.DB.PausedUntil(ctx, j.now, pauseAuthority(j.order.AuthorityID))
	if err != nil {
		return 0, err
	}
	if !until.IsZero() && r.movesOn(ctx, j) {
		return 0, r.fail(ctx, j, failure{typ: "serverInternal", msg: reason, advice: "wait: the next order goes to another authority"})
	}
	if !until.IsZero() {
		j.order.Problem, j.order.ProblemType, j.order.Advice = reason, "rateLimited", "wait: the CA named this time itself"
		return until.Sub(j.now), r.commit(ctx, j, nil)
	}
	if err := r.forbidden(ctx, j.order.Tenant, j.order.Names); err != nil {
		return 0, err // it may have waited long
	}
	req, err := r.request(ctx, j)
	if err != nil {
		return 0, err
	}
	if err := r.foresee(ctx, j); err != nil || !j.order.Live() {
		return 0, err
	}
	if wait, err := r.charge(ctx, j, req.Replaces != ""); err != nil || wait > 0 {
		return wait, err
	}
	r.at("placing")
	ord, err := j.client.NewOrder(ctx, j.as, req)
	if err != nil && ord.URL == "" {
		return 0, r.notPlaced(ctx, j, req, err)
	}
	r.at("placed")
	j.order.URL, j.order.CAStatus, j.order.ExpiresAt = ord.URL, ord.Status, ord.Expires
	j.order.State, j.order.Attempts = certfleet.OrderOpen, 0
	if ord.Profile != "" {
		j.order.Profile = ord.Profile
	}
	j.cost = taken(counted)
	err = r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
		return tx.Event(ctx, j.event("order.placed", "the CA has the order"))
	})
	if err != nil || !onward(j, ord.Status == statusPending && len(ord.Authorizations) > 0) {
		return 0, err
	}
	return r.follow(ctx, j, ord)
}

// onward reports whether a step goes on with what the CA has just answered, and is
// committed, instead of asking it the same once more. An order that a person steps
// does one thing at a time.
func onward(j *job, clear bool) bool { return clear && !j.order.Manual }

func (r *Room) request(ctx context.Context, j *job) (acme.OrderRequest, error) {
	req := acme.OrderRequest{Names: j.order.Names, Profile: j.terms.Profile}
	if v := time.Duration(j.terms.Validity); v > 0 {
		req.NotAfter = j.now.Add(v)
	}
	if j.order.Replaces != 0 {
		v, err := r.DB.Version(ctx, j.order.Replaces)
		if err != nil {
			return req, err
		}
		req.Replaces = v.ARIID
	}
	dir, err := j.client.Directory(ctx)
	if err != nil {
		return req, err
	}
	if dir.RenewalInfo == "" {
		req.Replaces = ""
	}
	if p := req.Profile; p != "" {
		if offered, err := r.offers(ctx, j, dir, p); err != nil {
			return req, err
		} else if !offered {
			return req, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the CA offers no profile %q", p), Advice: "choose one of the CA's profiles: certfleet authorities shows them"}
		}
	}
	return req, nil
}

// offers reports whether the CA has a profile. Its directory is kept for hours, so
// one that is not in it is looked for in a fresh one.
func (r *Room) offers(ctx context.Context, j *job, dir acme.Directory, profile string) (bool, error) {
	if _, ok := dir.Meta.Profiles[profile]; ok {
		return true, nil
	}
	dir, err := j.client.Refresh(ctx)
	_, ok := dir.Meta.Profiles[profile]
	return ok, err
}

// notPlaced decides what a refused new-order means. A refusal of replaces is
// answered by leaving it out, once.
func (r *Room) notPlaced(ctx context.Context, j *job, req acme.OrderRequest, err error) error {
	if err := r.answered(ctx, j, err); err != nil {
		return err
	}
	if req.Replaces != "" && refusesReplaces(err) && !errors.Is(err, acme.ErrUnsent) {
		j.order.Replaces, j.order.ReplacesNote = 0, "dropped: "+err.Error()
		return r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
			return tx.Event(ctx, j.event("order.replaces_dropped", "the CA refused replaces: "+err.Error()))
		})
	}
	return err
}

func refusesReplaces(err error) bool {
	p, ok := errors.AsType[*acme.Problem](err)
	return ok && answerOf(p).RefusesReplaces()
}

// orderGone ends an order that the CA no longer knows.
func (r *Room) orderGone(ctx context.Context, j *job, err error) error {
	p, ok := errors.AsType[*acme.Problem](err)
	if ok && p.Status == 404 {
		return r.fail(ctx, j, failure{typ: "expired", msg: "the CA no longer knows the order: " + p.Error(), advice: "wait: a new order follows"})
	}
	return err
}

func (j *job) event(kind, msg string) certfleet.Event {
	return certfleet.Event{Kind: kind, Tenant: j.order.Tenant, CertificateID: j.order.CertificateID, OrderID: j.order.ID, VersionID: j.order.VersionID, Msg: msg}
}

func pauseAuthority(id int64) string { return fmt.Sprintf("authority:%d", id) }
