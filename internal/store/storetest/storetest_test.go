package storetest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

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

func TestDumpShowsWhatWasEverWritten(t *testing.T) {
	Each(t, func(t *testing.T, db *store.DB) {
		long := strings.Repeat("0123456789", 3000) // spans pages, so only the rows show it whole
		for _, v := range []string{"needle-one", long, "needle-two"} {
			err := db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error { return tx.SetSetting(t.Context(), "k"+v[:6], v) })
			if err != nil {
				t.Fatal(err)
			}
		}
		dump := Dump(t, db)
		for _, want := range []string{"setting.v=needle-two\n", "setting.v=" + long + "\n"} {
			if !bytes.Contains(dump, []byte(want)) {
				t.Errorf("the dump of %d bytes lacks %.40q", len(dump), want)
			}
		}
		if !db.Postgres() && !bytes.Contains(dump, []byte("needle-one")) {
			t.Error("the log still has the overwritten value, the dump does not")
		}
	})
}
