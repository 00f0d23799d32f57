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

// rolloverTime is how long a next key is kept at any rate: its request may be on the
// way, and whoever asks the CA meanwhile learns nothing from a no. It leaves within
// callTime; the rest is for what lies between here and the CA.
const rolloverTime = 4 * callTime

// Rollover changes an account's key (RFC 8555 section 7.3.5). The new key is
// committed before the CA hears of it. When the CA's answer is lost, it is asked
// which key it knows. While another rollover may be under way, it is a conflict.
func (r *Room) Rollover(ctx context.Context, id int64, typ certfleet.KeyType) error {
	return r.change(ctx, id, "account.key_changed", func(ctx context.Context, client *acme.Client, acct *certfleet.Account, as acme.Account) (changed, error) {
		if acct.NextKeyID != 0 {
			return nil, r.rolling(ctx, acct)
		}
		key, err := r.nextKey(ctx, acct, typ)
		if err != nil {
			return nil, err
		}
		r.at("rollover begun")
		next, err := r.Keys.OpenKey(ctx, key)
		if err != nil {
			return nil, err
		}
		err = sendRollover(ctx, client, as, next, key.CreatedAt)
		if _, said := errors.AsType[*acme.Problem](err); err != nil && !said {
			if has, asking := hasKey(ctx, client, acct, next); has && asking == nil {
				err = nil
			}
		}
		if err != nil {
			return nil, err
		}
		r.at("rolled over")
		return func(a *certfleet.Account) { a.KeyID, a.NextKeyID = key.ID, 0 }, nil
	})
}

// sendRollover sends the request, early enough that nobody forgets the key before.
func sendRollover(ctx context.Context, client *acme.Client, as acme.Account, next crypto.Signer, begun time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, begun.Add(callTime))
	defer cancel()
	return client.Rollover(ctx, as, next)
}

// rolling says that a rollover was begun, and when it is over at the latest.
func (r *Room) rolling(ctx context.Context, acct *certfleet.Account) error {
	next, err := r.DB.Key(ctx, acct.NextKeyID)
	if err != nil {
		return err
	}
	over := next.CreatedAt.Add(rolloverTime)
	return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("another change of the key of account %q may be under way until %s", acct.Label, over.UTC().Format(time.RFC3339)),
		Advice: "try again after that", Retry: over}
}

// nextKey makes the key that an account is to have, and commits it.
func (r *Room) nextKey(ctx context.Context, acct *certfleet.Account, typ certfleet.KeyType) (*certfleet.Key, error) {
	key, err := r.Keys.SealKey(ctx, acct.Tenant, "account", typ)
	if err != nil {
		return nil, err
	}
	key.ReplacesKeyID = acct.KeyID
	return key, r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if err := tx.AddKey(ctx, key); err != nil {
			return err
		}
		acct.NextKeyID = key.ID
		return tx.SaveAccount(ctx, acct)
	})
}

// settleRollover asks the CA whether it knows the next key: then the rollover
// was done and only its commit was lost. A key that it does not know is forgotten
// when its request cannot be on the way any more; until then the account keeps both.
func (r *Room) settleRollover(ctx context.Context, client *acme.Client, acct *certfleet.Account) error {
	key, err := r.DB.Key(ctx, acct.NextKeyID)
	if err != nil {
		return err
	}
	next, err := r.Keys.OpenKey(ctx, key)
	if err != nil {
		return err
	}
	over := time.Since(key.CreatedAt) > rolloverTime // before the CA is asked
	has, err := hasKey(ctx, client, acct, next)
	if err != nil || !has && !over {
		return err
	}
	if has {
		acct.KeyID = acct.NextKeyID
	}
	acct.NextKeyID = 0
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SaveAccount(ctx, acct) })
}

// hasKey reports whether a key is the account's at the CA by now.
func hasKey(ctx context.Context, client *acme.Client, acct *certfleet.Account, key crypto.Signer) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	got, err := client.Find(ctx, key)
	if acme.Is(err, "accountDoesNotExist") {
		return false, nil
	}
	return err == nil && got.URL == acct.URL, err
}

// Identity is an account to sign with, and the client for its authority. A rollover
// that was begun and not seen done is settled first.
func (r *Room) Identity(ctx context.Context, account int64) (*acme.Client, acme.Account, error) {
	acct, client, err := r.account(ctx, account)
	if err != nil {
		return nil, acme.Account{}, err
	}
	ctx, said := withRecord(acme.WithOrder(ctx, 0, acct.ID, acct.AuthorityID))
	as, err := r.identity(ctx, client, acct)
	return client, as, errors.Join(err, r.keep(ctx, said))
}
