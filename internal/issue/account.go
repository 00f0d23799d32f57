package issue

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/store"
)

// ensureAccount opens the account's key for the job; an account that is not
// registered yet is registered first, which is a step of its own.
func (r *Room) ensureAccount(ctx context.Context, j *job) (ready bool, err error) {
	switch j.acct.State {
	case certfleet.AccountDeactivated:
		return false, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("account %q was deactivated", j.acct.Label), Advice: "make another account at this authority"}
	case certfleet.AccountWanted:
		if err := r.registerOnce(ctx, j); err != nil {
			return false, r.accountProblem(ctx, j.acct, err)
		}
		return false, r.commit(ctx, j, nil)
	}
	if j.acctKey != nil && j.acct.NextKeyID == 0 {
		signer, err := r.Keys.OpenKey(ctx, j.acctKey)
		j.as = acme.Account{URL: j.acct.URL, Key: signer, Changed: r.follower(j)}
		return err == nil, err
	}
	err = r.signAs(ctx, j)
	return err == nil, err
}

// registerOnce lets the first of many orders register their account; the others
// find it done.
func (r *Room) registerOnce(ctx context.Context, j *job) (err error) {
	r.registering.Lock()
	defer r.registering.Unlock()
	if j.acct, err = r.DB.Account(ctx, j.acct.ID); err != nil {
		return err
	}
	return r.register(ctx, j.client, j.acct)
}

// identity opens an account's key to sign with. A rollover that was begun and
// not seen done is settled first by asking the CA which key it knows.
func (r *Room) identity(ctx context.Context, client *acme.Client, acct *certfleet.Account) (acme.Account, error) {
	if err := r.settled(ctx, client, acct); err != nil {
		return acme.Account{}, err
	}
	signer, err := r.accountKey(ctx, acct.KeyID)
	changed := func(ctx context.Context, refused crypto.Signer) (crypto.Signer, error) {
		_, signer, err := r.changedKey(ctx, client, acct.ID, refused)
		return signer, err
	}
	return acme.Account{URL: acct.URL, Key: signer, Changed: changed}, err
}

func (r *Room) accountKey(ctx context.Context, id int64) (crypto.Signer, error) {
	key, err := r.DB.Key(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.Keys.OpenKey(ctx, key)
}

// Register registers an account that is wanted, now.
func (r *Room) Register(ctx context.Context, id int64) error {
	ctx, said := withRecord(ctx)
	acct, client, err := r.account(ctx, id)
	if err != nil {
		return err
	}
	ctx = acme.WithOrder(ctx, 0, acct.ID, acct.AuthorityID)
	err = r.register(ctx, client, acct)
	return errors.Join(explained(acct, err), r.keep(ctx, said))
}

// FindAccount asks a CA for the account of a key (RFC 8555 section 7.3.1). None
// is made.
func (r *Room) FindAccount(ctx context.Context, authority int64, key crypto.Signer) (acme.AccountInfo, error) {
	client, err := r.ClientOf(ctx, authority)
	if err != nil {
		return acme.AccountInfo{}, err
	}
	ctx, said := withRecord(acme.WithOrder(ctx, 0, 0, authority))
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	got, err := client.Find(ctx, key)
	return got, errors.Join(explained(nil, err), r.keep(ctx, said))
}

// explained adds advice to what a CA says of an account.
func explained(acct *certfleet.Account, err error) error {
	p, ok := errors.AsType[*acme.Problem](err)
	if !ok {
		return err
	}
	return &certfleet.Error{Kind: p.Kind(), Msg: p.Error(), Advice: accountAdvice(p, acct), Retry: p.RetryAfter, Err: err}
}

// keep commits exchanges that belong to no order.
func (r *Room) keep(ctx context.Context, said *record) error {
	list := said.take()
	if len(list) == 0 {
		return nil
	}
	return r.DB.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error { return tx.AddExchanges(ctx, list) })
}

func (r *Room) account(ctx context.Context, id int64) (*certfleet.Account, *acme.Client, error) {
	acct, err := r.DB.Account(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	client, err := r.ClientOf(ctx, acct.AuthorityID)
	return acct, client, err
}

// register commits the account's key, then registers. A second attempt with the
// same key gets the same account (RFC 8555 section 7.3.1), so a crash is harmless.
func (r *Room) register(ctx context.Context, client *acme.Client, acct *certfleet.Account) error {
	if acct.State != certfleet.AccountWanted {
		return nil
	}
	if err := r.makeAccountKey(ctx, acct); err != nil {
		return err
	}
	signer, err := r.accountKey(ctx, acct.KeyID)
	if err != nil {
		return err
	}
	reg := acme.Registration{Contact: acct.Contact, TermsAgreed: !acct.AgreedAt.IsZero()}
	if acct.EABKeyID != "" {
		hmac, err := r.Keys.OpenEAB(ctx, acct)
		if err != nil {
			return err
		}
		defer hmac.Wipe()
		reg.EAB = &acme.EAB{KeyID: acct.EABKeyID, HMAC: hmac}
	}
	got, err := r.registration(ctx, acct, func() (acme.AccountInfo, error) { return client.Register(ctx, signer, reg) })
	if err != nil {
		return err
	}
	acct.URL, acct.State, acct.EABSealed, acct.Problem = got.URL, certfleet.AccountValid, nil, ""
	// An external account binding works once, so the answer is kept at any rate.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if err := tx.SaveAccount(ctx, acct); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "account.registered", Tenant: acct.Tenant, Msg: "account " + acct.Label + " is " + acct.URL})
	})
}

func (r *Room) makeAccountKey(ctx context.Context, acct *certfleet.Account) error {
	if acct.KeyID != 0 {
		return nil
	}
	key, err := r.Keys.SealKey(ctx, acct.Tenant, "account", certfleet.P256)
	if err != nil {
		return err
	}
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if err := tx.AddKey(ctx, key); err != nil {
			return err
		}
		acct.KeyID = key.ID
		return tx.SaveAccount(ctx, acct)
	})
}

// accountProblem notes on the account why it cannot be registered.
func (r *Room) accountProblem(ctx context.Context, acct *certfleet.Account, cause error) error {
	if errors.Is(cause, store.ErrStale) {
		return cause
	}
	acct.Problem = cause.Error()
	if err := r.DB.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error { return tx.SaveAccount(ctx, acct) }); err != nil && !errors.Is(err, store.ErrStale) {
		return err
	}
	return fmt.Errorf("register account %q: %w", acct.Label, cause)
}

// lostAccount ends the order when the CA knows no such account, and says so on it.
func (r *Room) lostAccount(ctx context.Context, j *job, p *acme.Problem) error {
	if err := r.accountProblem(ctx, j.acct, p); errors.Is(err, store.ErrStale) {
		return err
	}
	return r.fail(ctx, j, failure{typ: p.Name(), msg: p.Error(), advice: Advice(p, "")})
}

// UpdateContact changes whom the CA may write to.
func (r *Room) UpdateContact(ctx context.Context, id int64, contact []string) error {
	return r.change(ctx, id, "account.contact_changed", func(ctx context.Context, client *acme.Client, _ *certfleet.Account, as acme.Account) (changed, error) {
		_, err := client.UpdateContact(ctx, as, contact)
		return func(a *certfleet.Account) { a.Contact = contact }, err
	})
}

// Deactivate gives an account up for good (RFC 8555 section 7.3.6).
func (r *Room) Deactivate(ctx context.Context, id int64) error {
	return r.change(ctx, id, "account.deactivated", func(ctx context.Context, client *acme.Client, _ *certfleet.Account, as acme.Account) (changed, error) {
		_, err := client.Deactivate(ctx, as)
		return func(a *certfleet.Account) { a.State = certfleet.AccountDeactivated }, err
	})
}

// changed notes on an account what the CA has done to it.
type changed func(*certfleet.Account)

// change does one thing to a registered account and commits what came of it: to
// the row as it is by then, because what the CA did is so whoever wrote meanwhile.
func (r *Room) change(ctx context.Context, id int64, kind string, do func(context.Context, *acme.Client, *certfleet.Account, acme.Account) (changed, error)) error {
	ctx, said := withRecord(ctx)
	acct, client, err := r.account(ctx, id)
	if err != nil {
		return err
	}
	if acct.State != certfleet.AccountValid {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("account %q is %s", acct.Label, acct.State), Advice: "register the account first: certfleet accounts register " + acct.Label}
	}
	ctx = acme.WithOrder(ctx, 0, acct.ID, acct.AuthorityID)
	as, err := r.identity(ctx, client, acct)
	if err != nil {
		return errors.Join(err, r.keep(ctx, said))
	}
	note, err := do(ctx, client, acct, as)
	if err != nil {
		return errors.Join(explained(acct, err), r.keep(ctx, said))
	}
	list := said.take()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if err := tx.AddExchanges(ctx, list); err != nil {
			return err
		}
		now, err := tx.Account(ctx, id)
		if err != nil {
			return err
		}
		note(now)
		if err := tx.SaveAccount(ctx, now); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: kind, Tenant: now.Tenant, Msg: "account " + now.Label})
	})
}
