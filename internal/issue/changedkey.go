package issue

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// rereads is how often what another process wrote meanwhile is read once more.
const rereads = 5

// changedKey is the account as it is stored by now and its key, when that is not the
// one that a CA refused; else the signer is nil. Whichever node changed the key says
// so in the row; where its commit is still missing, the CA is asked.
func (r *Room) changedKey(ctx context.Context, client *acme.Client, id int64, refused crypto.Signer) (*certfleet.Account, crypto.Signer, error) {
	asked := int64(0) // the next key that the CA was asked about; what it said may be old by then
	for range rereads {
		acct, err := r.DB.Account(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if acct.State != certfleet.AccountValid {
			return acct, nil, nil
		}
		if key, err := r.DB.Key(ctx, acct.KeyID); err != nil {
			return nil, nil, err
		} else if key.SPKI != pki.SPKI(refused.Public()) {
			signer, err := r.Keys.OpenKey(ctx, key)
			return acct, signer, err
		}
		if acct.NextKeyID == asked {
			return acct, nil, nil // none is on the way, or the CA does not know it
		}
		was := acct.KeyID
		asked = acct.NextKeyID
		if err := r.settleRollover(ctx, client, acct); err != nil && !errors.Is(err, store.ErrStale) {
			return nil, nil, err
		}
		if acct.KeyID != was { // the CA has it, whoever writes that down
			signer, err := r.accountKey(ctx, acct.KeyID)
			return acct, signer, err
		}
	}
	return nil, nil, fmt.Errorf("read account %d: %w", id, store.ErrStale)
}

// settled settles a rollover that was begun. Of several that find it so one writes
// what came of it; the others go on with the key that the CA has, or read the account
// once more.
func (r *Room) settled(ctx context.Context, client *acme.Client, acct *certfleet.Account) error {
	for again := rereads; acct.NextKeyID != 0; again-- {
		was := acct.KeyID
		err := r.settleRollover(ctx, client, acct)
		if again == 0 || !errors.Is(err, store.ErrStale) {
			return err
		}
		if acct.KeyID != was {
			return nil
		}
		now, err := r.DB.Account(ctx, acct.ID)
		if err != nil {
			return err
		}
		*acct = *now
	}
	return nil
}

// signAs opens the account's key for the job, which follows it when it is changed.
func (r *Room) signAs(ctx context.Context, j *job) (err error) {
	j.as, err = r.identity(ctx, j.client, j.acct)
	j.as.Changed = r.follower(j)
	return err
}

// follower has a job go on with its account's new key from where the old one was
// refused: what comes after, key authorizations too, hangs on it.
func (r *Room) follower(j *job) func(context.Context, crypto.Signer) (crypto.Signer, error) {
	return func(ctx context.Context, refused crypto.Signer) (crypto.Signer, error) {
		acct, signer, err := r.changedKey(ctx, j.client, j.acct.ID, refused)
		if err != nil || signer == nil {
			return nil, err
		}
		j.acct, j.acctKey, j.as.Key = acct, nil, signer
		r.log().Info("the account's key was changed", "order_id", j.order.ID, "account", acct.Label)
		return signer, nil
	}
}

// advanceAgain is advance, done again at once when the CA would not be told to look
// because the account's key was changed: then what is presented must be too. A key
// that changes all the time has the step tried later, which is no failure of the order.
func (r *Room) advanceAgain(ctx context.Context, j *job) (time.Duration, error) {
	for range rereads {
		wait, err := r.advance(ctx, j)
		p, ok := errors.AsType[*acme.Problem](err)
		if !ok || !p.OfSignature() || j.as.Changed == nil {
			return wait, err
		}
		if signer, asking := j.as.Changed(ctx, j.as.Key); asking != nil {
			return 0, asking
		} else if signer == nil {
			return wait, err
		}
	}
	return 0, fmt.Errorf("sign for account %q, whose key keeps changing: %w", j.acct.Label, store.ErrStale)
}

// refresh takes away what was presented by a key that the account has no more, and
// has it presented anew. What a CA looks at already stays as it was told.
func (r *Room) refresh(ctx context.Context, j *job, p *pending) error {
	if p.auth == p.stored.KeyAuth || !p.waits(j.now) {
		return nil
	}
	if err := r.cleanUp(ctx, p.solver, &p.stored); err != nil {
		return fmt.Errorf("take away what the account's old key had presented as %s for %s: %w", p.stored.Type, p.stored.Name, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.Reintend(ctx, &p.stored, p.auth) })
}

// findAs asks for the account that has a key, or the one that it has by now.
func findAs(ctx context.Context, client *acme.Client, as acme.Account) (acme.AccountInfo, error) {
	got, err := client.Find(ctx, as.Key)
	if !acme.Is(err, "accountDoesNotExist") {
		return got, err
	}
	key, asking := as.Changed(ctx, as.Key)
	if asking != nil || key == nil {
		return got, errors.Join(err, asking)
	}
	return client.Find(ctx, key)
}
