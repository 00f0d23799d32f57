// Package stored is a keystore whose data keys are rows of the store.
package stored

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/store"
)

// New makes a Keystore over a store's data keys that opens them with keeper. It
// asks for nothing before the first use.
func New(keeper certfleet.Keeper, db *store.DB) *keystore.Keystore {
	return keystore.New(keeper, dataKeys{db})
}

// dataKeys are a store's, as a keystore asks for them.
type dataKeys struct{ db *store.DB }

// List reads them all.
func (d dataKeys) List(ctx context.Context) ([]keystore.DataKey, error) {
	rows, err := d.db.DataKeys(ctx)
	out := make([]keystore.DataKey, len(rows))
	for i, r := range rows {
		out[i] = keystore.DataKey(r)
	}
	return out, err
}

// Add stores one.
func (d dataKeys) Add(ctx context.Context, k keystore.DataKey) (int64, error) {
	row := store.DataKeyRow(k)
	err := d.db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.AddDataKey(ctx, &row, false) })
	return row.ID, err
}
