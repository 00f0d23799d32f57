package storetest

import (
	"context"
	"testing"

	"github.com/certfleet/certfleet/internal/store"
)

func TestEachTestHasItsOwnEmptyStore(t *testing.T) {
	for range 2 {
		Each(t, func(t *testing.T, db *store.DB) {
			list, err := db.DataKeys(context.Background())
			if err != nil || len(list) != 0 {
				t.Fatalf("a new store has %d data keys, %v", len(list), err)
			}
		})
	}
}
