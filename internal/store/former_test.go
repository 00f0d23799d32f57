package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"math"
	"strconv"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestFormerNumbersLeadToObjects(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if has, err := db.HasFormer(ctx, 0); err != nil || has {
			t.Fatalf("an empty store has some: %v, %v", has, err)
		}
		many := []int64{}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, c := range []struct {
				kind           string
				former, object int64
				kept           bool
			}{{"version", 5, 812, true}, {"version", 5, 900, false}, {"version", 5, 812, false}, {"version", 4, 812, true}, {"domain", 5, 7, true}, {"key", math.MaxInt64, math.MaxInt64 - 1, true}} {
				if kept, err := tx.KeepFormer(ctx, 0, c.kind, c.former, c.object); err != nil || kept != c.kept {
					t.Errorf("%+v: kept %v, %v", c, kept, err)
				}
			}
			for i := int64(1000); i < 1120; i++ {
				if _, err := tx.KeepFormer(ctx, 0, "key", i, i+1); err != nil {
					return err
				}
				many = append(many, i)
			}
			return nil
		})
		if has, err := db.HasFormer(ctx, 0); err != nil || !has {
			t.Errorf("it has none: %v, %v", has, err)
		}
		if has, err := db.HasFormer(ctx, 2); err != nil || has {
			t.Errorf("another tenant has some: %v, %v", has, err)
		}
		if got, err := db.Former(ctx, 0, "version", 5, 812, 6); err != nil || !maps.Equal(got, map[int64]int64{5: 812}) {
			t.Errorf("objects %v, %v", got, err)
		}
		if got, err := db.FormerOf(ctx, 0, "version", 5, 812, 900); err != nil || !maps.Equal(got, map[int64]int64{812: 4}) {
			t.Errorf("numbers %v, %v", got, err)
		}
		if got, err := db.Former(ctx, 0, "key", many...); err != nil || len(got) != 120 || got[1119] != 1120 {
			t.Errorf("of many: %d, %v", len(got), err)
		}
		if got, err := db.Former(ctx, 0, "key", math.MaxInt64, math.MaxInt64-1, math.MaxInt64); err != nil || !maps.Equal(got, map[int64]int64{math.MaxInt64: math.MaxInt64 - 1}) {
			t.Errorf("of the largest: %v, %v", got, err)
		}
		if got, err := db.Former(ctx, 2, "version", 5); err != nil || len(got) != 0 {
			t.Errorf("of another tenant: %v, %v", got, err)
		}
	})
}

func TestTheHighestFormerNumberStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.KeepHighestFormer(ctx, 0, "version", 7), tx.KeepHighestFormer(ctx, 0, "version", 900), tx.KeepHighestFormer(ctx, 0, "version", 8), tx.KeepHighestFormer(ctx, 0, "key", 3))
		})
		for _, c := range []struct {
			tenant int64
			kind   string
			want   int64
		}{{0, "version", 900}, {1, "key", 3}, {0, "domain", 0}, {2, "version", 0}} {
			if got, err := db.HighestFormer(ctx, c.tenant, c.kind); err != nil || got != c.want {
				t.Errorf("%+v: %d, %v", c, got, err)
			}
		}
		if has, err := db.HasFormer(ctx, 0); err != nil || !has {
			t.Errorf("it has none: %v, %v", has, err)
		}
	})
}

func TestNewObjectsSkipFormerNumbers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		add := func(label string) int64 {
			a := certfleet.Authority{Label: label, DirectoryURL: "https://" + label + ".example/directory"}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddAuthority(ctx, &a) })
			return a.ID
		}
		skip := func(kind string, above int64) {
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SkipNumbers(ctx, kind, above) })
		}
		skip("authority", 500) // before there is any
		if id := add("one"); id != 501 {
			t.Errorf("the first is %d, want 501", id)
		}
		skip("authority", 100)
		if id := add("two"); id != 502 {
			t.Errorf("the next is %d, want 502", id)
		}
		skip("chain", 9000)
		skip("authority", 1000)
		if id := add("three"); id != 1001 {
			t.Errorf("the last is %d, want 1001", id)
		}
	})
}

func TestVersionsAndKeysAreFoundByTheirContent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		for _, sum := range [][32]byte{sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b")), {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0, 0, 0, 0, 3}} {
			hash := hex.EncodeToString(sum[:])
			v := certfleet.Version{CertificateID: f.cert.ID, Origin: "imported", Names: f.cert.Names, Serial: hash, Fingerprint: hash, SPKI: hash, NotBefore: now, NotAfter: now.AddDate(0, 3, 0), ChainPEM: []byte("pem")}
			k := certfleet.Key{Use: "certificate", Type: certfleet.P256, SPKI: hash, Origin: "generated", Sealed: []byte("sealed")}
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.AddVersion(ctx, &v, nil); err != nil {
					return err
				}
				return tx.AddKey(ctx, &k)
			})
			n, err := strconv.ParseInt(pki.ContentIDOf(hash), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := db.VersionByContent(ctx, 0, n); err != nil || got.ID != v.ID {
				t.Errorf("version of %s: %+v, %v", hash, got, err)
			}
			if got, err := db.KeyByContent(ctx, 0, n); err != nil || got.ID != k.ID {
				t.Errorf("key of %s: %+v, %v", hash, got, err)
			}
		}
		for _, n := range []int64{0, 7, 1 << 62} {
			if _, err := db.VersionByContent(ctx, 0, n); certfleet.KindOf(err) != certfleet.NotFound {
				t.Errorf("version of %d: %v", n, err)
			}
			if _, err := db.KeyByContent(ctx, 0, n); certfleet.KindOf(err) != certfleet.NotFound {
				t.Errorf("key of %d: %v", n, err)
			}
		}
	})
}
