package intake

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// keyed gives a version a key of ours.
func (k *kit) keyed(v *certfleet.Version) *certfleet.Key {
	k.t.Helper()
	key := &certfleet.Key{Use: "certificate", Type: certfleet.P256, SPKI: v.Fingerprint, Sealed: []byte("sealed")}
	k.change(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddKey(ctx, key); err != nil {
			return err
		}
		v.KeyID = key.ID
		return tx.SaveVersion(ctx, v)
	})
	return key
}

func TestWhatWasRemovedAndIsAddedAgainTakesItsVersionBack(t *testing.T) {
	k := newKit(t)
	for i, c := range []struct {
		what  string
		spoil func(ctx context.Context, tx *store.Tx, v *certfleet.Version, key *certfleet.Key) error
		names []string
		back  bool
	}{
		{what: "as it was", back: true},
		{what: "the same names in another order", names: []string{"www.example.com", "shop.example.com"}, back: true},
		{what: "one name less", names: []string{"shop.example.com"}},
		{what: "revoked", spoil: func(ctx context.Context, tx *store.Tx, v *certfleet.Version, _ *certfleet.Key) error {
			v.RevokedAt = tx.Now()
			return tx.SaveVersion(ctx, v)
		}},
		{what: "near its renewal", spoil: func(ctx context.Context, tx *store.Tx, v *certfleet.Version, _ *certfleet.Key) error {
			v.NotBefore, v.NotAfter = tx.Now().Add(-80*24*time.Hour), tx.Now().Add(10*24*time.Hour)
			return tx.SaveVersion(ctx, v)
		}},
		{what: "its key compromised", spoil: func(ctx context.Context, tx *store.Tx, _ *certfleet.Version, key *certfleet.Key) error {
			return tx.CompromiseKey(ctx, key.ID)
		}},
		{what: "its key elsewhere", spoil: func(ctx context.Context, tx *store.Tx, v *certfleet.Version, _ *certfleet.Key) error {
			v.KeyID = 0
			return tx.SaveVersion(ctx, v)
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			ask := api.NewCertificate{Label: fmt.Sprint("c", i), Names: []string{"shop.example.com", "www.example.com"}, Targets: []string{"edge"}}
			is := k.add(ask)
			v := k.issue(is, fmt.Sprint("ff", i))
			key := k.keyed(v)
			_, err := k.Remove(t.Context(), is.ID)
			k.must(err)
			if c.spoil != nil {
				k.change(func(ctx context.Context, tx *store.Tx) error {
					row, err := tx.Version(ctx, v.ID)
					k.must(err)
					return c.spoil(ctx, tx, row, key)
				})
			}
			if c.names != nil {
				ask.Names = c.names
			}
			got := k.add(ask)
			events, _, err := k.db.Events(t.Context(), store.EventFilter{CertificateID: is.ID, Kind: "version.taken_back"})
			k.must(err)
			due := got.DueAt.After(time.Now().Add(24 * time.Hour))
			if got.ID != is.ID || (got.VersionID == v.ID) != c.back || due != c.back || (len(events) == 1) != c.back || (k.serves("shop.example.com") == v.ID) != c.back {
				t.Errorf("certificate %+v with %d events serves %d; want version %d back: %v", got, len(events), k.serves("shop.example.com"), v.ID, c.back)
			}
			if d := k.deliveries(is); (d["edge"] == certfleet.DeliveryDue) != c.back {
				t.Errorf("deliveries %v", d)
			}
			_, err = k.Remove(t.Context(), is.ID)
			k.must(err)
		})
	}
}
