package issue

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/store"
)

// Rollover changes an account's key (RFC 8555 section 7.3.5). The new key is
// committed before the CA hears of it. When the CA's answer is lost, it is asked
// which key it knows.
func (r *Room) Rollover(ctx context.Context, id int64, typ certfleet.KeyType) error {
	return r.change(ctx, id, "account.key_changed", func(ctx context.Context, client *acme.Client, acct *certfleet.Account, as acme.Account) (changed, error) {
		key, err := r.nextKey(ctx, acct, typ)
		if err != nil {
			return nil, err
		}
		r.at("rollover begun")
		next, err := r.Keys.OpenKey(ctx, key)
		if err != nil {
			return nil, err
		}
		err = client.Rollover(ctx, as, next)
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
// was done and only its commit was lost.
func (r *Room) settleRollover(ctx context.Context, client *acme.Client, acct *certfleet.Account) error {
	next, err := r.accountKey(ctx, acct.NextKeyID)
	if err != nil {
		return err
	}
	has, err := hasKey(ctx, client, acct, next)
	if err != nil {
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
