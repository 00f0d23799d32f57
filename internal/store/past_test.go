package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestVersionsOfThePastAreListedAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		var ids [4]int64
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i := range ids {
				v := f.version
				v.ID, v.Rev, v.Fingerprint, v.NotAfter = 0, 0, fmt.Sprint("past", i), now.Add(time.Duration(i-1)*time.Hour)
				if err := tx.AddVersion(ctx, &v, nil); err != nil {
					return err
				}
				switch ids[i] = v.ID; i {
				case 0, 2:
					v.ReplacedBy = f.version.ID
				case 3:
					v.RevokedAt = now
				}
				if err := tx.SaveVersion(ctx, &v); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			f    store.VersionFilter
			want []int64
		}{
			{store.VersionFilter{Past: true}, []int64{ids[3], ids[2], ids[0]}},
			{store.VersionFilter{Past: true, ValidAt: now}, []int64{ids[3], ids[2]}},
			{store.VersionFilter{Past: true, Tenant: certfleet.DefaultTenant + 1}, nil},
		} {
			list, _, err := db.Versions(t.Context(), c.f)
			var got []int64
			for _, v := range list {
				got = append(got, v.ID)
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%+v: %v, %v; want %v", c.f, got, err, c.want)
			}
		}
	})
}
