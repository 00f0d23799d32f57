package web

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) accountRoutes() {
	const tag, path = "accounts", "/v1/accounts"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-accounts", tag, "List accounts", ""}, s.listAccounts)
	on(s, "POST", path, route{certfleet.ScopeAdmin, "add-account", tag, "Make an account, or bring one along", "It is registered at once unless later is set. With a key it is an account that exists already."}, s.addAccount)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-account", tag, "Read an account", ""}, s.getAccount)
	on(s, "PATCH", path+"/{id}", route{certfleet.ScopeAdmin, "change-account", tag, "Say what an account's orders are like", "Where their policy leaves it to the account. What is absent stays."}, s.changeAccount)
	s.accountCheckRoutes()
	on(s, "POST", path+"/{id}/register", route{certfleet.ScopeAdmin, "register-account", tag, "Register an account now", ""}, s.registerAccount)
	on(s, "POST", path+"/{id}/agree", route{certfleet.ScopeAdmin, "agree-account", tag, "Agree to the CA's terms", ""}, s.agreeAccount)
	on(s, "POST", path+"/{id}/contact", route{certfleet.ScopeAdmin, "contact-account", tag, "Change whom the CA may write to", "RFC 8555 section 7.3.2."}, s.contactAccount)
	on(s, "POST", path+"/{id}/rollover", route{certfleet.ScopeAdmin, "rollover-account", tag, "Give an account a new key", "RFC 8555 section 7.3.5."}, s.rolloverAccount)
	on(s, "POST", path+"/{id}/deactivate", route{certfleet.ScopeAdmin, "deactivate-account", tag, "Give an account up for good", "RFC 8555 section 7.3.6."}, s.deactivateAccount)
}

func (s *server) ofAccount(ctx context.Context, a *certfleet.Account) api.Account {
	w := api.OfAccount(a, s.authorityLabel(ctx, a.AuthorityID))
	if d, err := s.DB.AccountDefaults(ctx, a.ID); err == nil && d != (certfleet.AccountDefaults{}) {
		said := api.OfAccountDefaults(d)
		w.Defaults = &said
	}
	return w
}

func (s *server) listAccounts(ctx context.Context, q *api.Labelled) (*page[api.Account], error) {
	rows, err := s.DB.Accounts(ctx, tenant(ctx))
	if err != nil {
		return nil, err
	}
	return labelled(q, rows, func(a *certfleet.Account) certfleet.Labels { return a.Labels }, func(a *certfleet.Account) api.Account { return s.ofAccount(ctx, a) })
}

func (s *server) getAccount(ctx context.Context, in *ByID) (*out[api.Account], error) {
	a, err := s.account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(s.ofAccount(ctx, a)), nil
}

func (s *server) addAccount(ctx context.Context, in *makeOne[api.NewAccount]) (*out[api.Account], error) {
	return remembered(ctx, s, "add-account", in, func() (api.Account, error) {
		if in.Body.Key != "" {
			return s.bringAccount(ctx, in.Body)
		}
		return s.newAccount(ctx, in.Body)
	})
}

func (s *server) newAccount(ctx context.Context, n api.NewAccount) (api.Account, error) {
	a, _, err := s.intake(ctx).AddAccount(ctx, n)
	if err != nil {
		return api.Account{}, err
	}
	if !n.Later && a.State == certfleet.AccountWanted {
		if err := act(ctx, "registering an account", s.Acts.RegisterAccount, a.ID); err != nil {
			return api.Account{}, err
		}
		if a, err = s.DB.Account(ctx, a.ID); err != nil {
			return api.Account{}, err
		}
	}
	return s.ofAccount(ctx, a), nil
}

// bringAccount stores an account that exists at the CA, with its key. Without a
// URL the CA is asked for it, before anything is stored; with later it is left as
// wanted with that key, and registering finds it (RFC 8555 section 7.3.1).
func (s *server) bringAccount(ctx context.Context, n api.NewAccount) (api.Account, error) {
	pem, _, err := porter.ParseAccountKey([]byte(n.Key))
	if err != nil {
		return api.Account{}, err
	}
	defer pem.Wipe()
	signer, err := pki.ParseKey(pem)
	if err != nil {
		return api.Account{}, err
	}
	if n.URL == "" && !n.Later {
		if err := s.findAccount(ctx, &n, signer); err != nil {
			return api.Account{}, err
		}
	}
	key, err := s.Keys.SealImported(ctx, tenant(ctx), "account", signer)
	if err != nil {
		return api.Account{}, err
	}
	a, err := s.storeAccount(ctx, n, key)
	return s.maybeAccount(ctx, a, err)
}

// findAccount fills in what the CA knows of the account that a key has there.
func (s *server) findAccount(ctx context.Context, n *api.NewAccount, key crypto.Signer) error {
	row, err := s.intake(ctx).AccountRow(ctx, s.DB.Q, *n)
	if err != nil {
		return err
	}
	if s.Acts.FindAccount == nil {
		return unable("finding the account")
	}
	url, contact, err := s.Acts.FindAccount(ctx, row.AuthorityID, key)
	if err != nil {
		return fmt.Errorf("finding the account: %w", err)
	}
	if n.URL = url; len(n.Contact) == 0 {
		n.Contact = contact
	}
	return nil
}

func (s *server) maybeAccount(ctx context.Context, a *certfleet.Account, err error) (api.Account, error) {
	if err != nil {
		return api.Account{}, err
	}
	return s.ofAccount(ctx, a), nil
}

func (s *server) storeAccount(ctx context.Context, n api.NewAccount, key *certfleet.Key) (*certfleet.Account, error) {
	row, err := s.intake(ctx).AccountRow(ctx, s.DB.Q, n)
	if err != nil {
		return nil, err
	}
	if row.URL = n.URL; n.URL != "" {
		row.State = certfleet.AccountValid
	}
	if n.Agree {
		row.AgreedAt = time.Now()
	}
	err = s.write(ctx, func(tx *store.Tx) error {
		is, err := tx.KeyBySPKI(ctx, tenant(ctx), key.SPKI)
		switch {
		case err == nil:
			return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("this key is here already, as key %d", is.ID), Advice: "see certfleet accounts for the account that has it"}
		case certfleet.KindOf(err) != certfleet.NotFound:
			return err
		}
		if err := tx.AddKey(ctx, key); err != nil {
			return err
		}
		row.KeyID = key.ID
		return tx.AddAccount(ctx, row)
	})
	return row, err
}

// accountAct does something to an account and tells how it stands then.
func (s *server) accountAct(ctx context.Context, id, what string, f func(context.Context, int64) error) (*out[api.Account], error) {
	a, err := s.account(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := act(ctx, what, f, a.ID); err != nil {
		return nil, err
	}
	return s.getAccount(ctx, &ByID{id})
}

func (s *server) registerAccount(ctx context.Context, in *ByID) (*out[api.Account], error) {
	return s.accountAct(ctx, in.ID, "registering an account", s.Acts.RegisterAccount)
}

func (s *server) agreeAccount(ctx context.Context, in *ByID) (*out[api.Account], error) {
	return s.accountAct(ctx, in.ID, "agreeing to the terms", func(ctx context.Context, id int64) error {
		_, err := s.intake(ctx).Agree(ctx, id)
		return err
	})
}

func (s *server) contactAccount(ctx context.Context, in *askID[api.Contact]) (*out[api.Account], error) {
	contact, err := intake.CheckContact(in.Body.Contact)
	if err != nil {
		return nil, err
	}
	var f func(context.Context, int64) error
	if s.Acts.UpdateContact != nil {
		f = func(ctx context.Context, id int64) error { return s.Acts.UpdateContact(ctx, id, contact) }
	}
	return s.accountAct(ctx, in.ID, "changing the contact", f)
}

func (s *server) rolloverAccount(ctx context.Context, in *mayAskID[api.Rollover]) (*out[api.Account], error) {
	t, err := certfleet.ParseKeyType(in.given().KeyType)
	if err != nil {
		return nil, err
	}
	var f func(context.Context, int64) error
	if s.Acts.RolloverAccount != nil {
		f = func(ctx context.Context, id int64) error { return s.Acts.RolloverAccount(ctx, id, t) }
	}
	return s.accountAct(ctx, in.ID, "changing the account's key", f)
}

func (s *server) deactivateAccount(ctx context.Context, in *ByID) (*out[api.Account], error) {
	return s.accountAct(ctx, in.ID, "deactivating the account", s.Acts.DeactivateAccount)
}
