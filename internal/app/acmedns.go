package app

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/solver/acmedns"
	"github.com/certfleet/certfleet/internal/store"
)

// acmedns builds the solver that needs somewhere to keep its credentials.
func (a *App) acmedns(s config.Section) (*acmedns.Solver, error) {
	var c acmedns.Config
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	solver, err := acmedns.New(c, a.deps(), Credentials{DB: a.DB, Keys: a.Keys, Solver: s.Label})
	if err != nil {
		return nil, fmt.Errorf("solver %q: %w", s.Label, err)
	}
	return solver, nil
}

// Credentials keeps acme-dns credentials sealed in the store.
type Credentials struct {
	DB     *store.DB
	Keys   *keystore.Keystore
	Solver string
}

func (c Credentials) aad(name certfleet.Name) string {
	return fmt.Sprintf("acmedns:%d:%s:%s", certfleet.DefaultTenant, c.Solver, name)
}

// Get opens the credential of a name.
func (c Credentials) Get(ctx context.Context, name certfleet.Name) (acmedns.Credential, bool, error) {
	row, err := c.DB.ACMEDNS(ctx, 0, c.Solver, name)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return acmedns.Credential{}, false, nil
	}
	if err != nil {
		return acmedns.Credential{}, false, err
	}
	text, err := c.Keys.Open(ctx, row.Sealed, c.aad(name))
	if err != nil {
		return acmedns.Credential{}, false, err
	}
	defer text.Wipe()
	cred, err := acmedns.Decode(text)
	return cred, err == nil, err
}

// Put seals and stores the credential of a name.
func (c Credentials) Put(ctx context.Context, name certfleet.Name, cred acmedns.Credential) error {
	text, err := cred.Encode()
	if err != nil {
		return err
	}
	defer text.Wipe()
	sealed, err := c.Keys.Seal(ctx, text, c.aad(name))
	if err != nil {
		return err
	}
	return c.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		return tx.PutACMEDNS(ctx, store.ACMEDNS{Solver: c.Solver, Name: name, FullDomain: cred.FullDomain, Sealed: sealed})
	})
}
