package store_test

import (
	"context"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestTheSameTwiceIsAConflict(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddToken(ctx, &certfleet.Token{Label: "ci", Hash: "h1"}); err != nil {
				return err
			}
			return tx.Remember(ctx, 1, "key", "request", "response")
		})
		for _, c := range []struct {
			what string
			do   func(ctx context.Context, tx *store.Tx) error
		}{
			{"authority label", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddAuthority(ctx, &certfleet.Authority{Label: "ca"})
			}},
			{"account label", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddAccount(ctx, &certfleet.Account{Label: "us", AuthorityID: f.authority.ID})
			}},
			{"policy label", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddPolicy(ctx, &certfleet.Policy{Label: "default"})
			}},
			{"target label", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddTarget(ctx, &certfleet.StoredTarget{Label: "edge-1"})
			}},
			{"certificate label", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddCertificate(ctx, &certfleet.Certificate{Label: "shop", PolicyID: f.policy.ID}, "")
			}},
			{"key", func(ctx context.Context, tx *store.Tx) error { return tx.AddKey(ctx, &certfleet.Key{SPKI: "aa00"}) }},
			{"live order of a slot", func(ctx context.Context, tx *store.Tx) error { return tx.AddOrder(ctx, f.newOrder(f.cert.ID)) }},
			{"version fingerprint", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddVersion(ctx, &certfleet.Version{Fingerprint: "f00d"}, nil)
			}},
			{"token label", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddToken(ctx, &certfleet.Token{Label: "ci", Hash: "h2"})
			}},
			{"token hash", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddToken(ctx, &certfleet.Token{Label: "cd", Hash: "h1"})
			}},
			{"idempotency key", func(ctx context.Context, tx *store.Tx) error { return tx.Remember(ctx, 1, "key", "other", "") }},
			{"account of no authority", func(ctx context.Context, tx *store.Tx) error {
				return tx.AddAccount(ctx, &certfleet.Account{Label: "lost", AuthorityID: 999})
			}},
		} {
			err := try(t, db, c.do)
			if certfleet.KindOf(err) != certfleet.Conflict {
				t.Errorf("%s: %v; want a conflict", c.what, err)
			}
		}
	})
}

func TestAnEndedOrderMakesRoomForTheNext(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		if live, err := db.LiveOrder(ctx, f.cert.ID, certfleet.SlotECDSA); err != nil || live.ID != f.order.ID {
			t.Fatalf("live order %+v, %v; want %d", live, err, f.order.ID)
		}
		f.order.State = certfleet.OrderFailed
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveOrder(ctx, &f.order) })
		if _, err := db.LiveOrder(ctx, f.cert.ID, certfleet.SlotECDSA); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("live order after the failure: %v; want not found", err)
		}
		next := f.addOrder(t, db, f.cert.ID)
		if last, err := db.LastOrder(ctx, f.cert.ID); err != nil || last.ID != next.ID {
			t.Errorf("last order %+v, %v; want %d", last, err, next.ID)
		}
	})
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for what, get := range map[string]func() error{
			"authority":      func() error { _, err := db.Authority(ctx, 9); return err },
			"authority ca":   func() error { _, err := db.AuthorityByLabel(ctx, 0, "ca"); return err },
			"account":        func() error { _, err := db.Account(ctx, 9); return err },
			"account us":     func() error { _, err := db.AccountByLabel(ctx, 0, "us"); return err },
			"account at":     func() error { _, err := db.AccountAt(ctx, 0, 9); return err },
			"policy":         func() error { _, err := db.Policy(ctx, 9); return err },
			"policy x":       func() error { _, err := db.PolicyByLabel(ctx, 0, "x"); return err },
			"key":            func() error { _, err := db.Key(ctx, 9); return err },
			"key aa":         func() error { _, err := db.KeyBySPKI(ctx, 0, "aa"); return err },
			"target":         func() error { _, err := db.Target(ctx, 9); return err },
			"target x":       func() error { _, err := db.TargetByLabel(ctx, 0, "x"); return err },
			"certificate":    func() error { _, err := db.Certificate(ctx, 9); return err },
			"certificate x":  func() error { _, err := db.CertificateByLabel(ctx, 0, "x"); return err },
			"domain":         func() error { _, err := db.Domain(ctx, 0, name(t, "a.example.com")); return err },
			"domain 9":       func() error { _, err := db.DomainByID(ctx, 9); return err },
			"order":          func() error { _, err := db.Order(ctx, 9); return err },
			"live order":     func() error { _, err := db.LiveOrder(ctx, 9, certfleet.SlotECDSA); return err },
			"last order":     func() error { _, err := db.LastOrder(ctx, 9); return err },
			"version":        func() error { _, err := db.Version(ctx, 9); return err },
			"version aa":     func() error { _, err := db.VersionByFingerprint(ctx, 0, "aa"); return err },
			"delivery":       func() error { _, err := db.Delivery(ctx, 9); return err },
			"receipt":        func() error { _, err := db.LastReceipt(ctx, 9, 9); return err },
			"authorization":  func() error { _, err := db.Authorization(ctx, 9); return err },
			"challenge":      func() error { _, err := db.ChallengeByToken(ctx, "t"); return err },
			"challenge name": func() error { _, err := db.ChallengeByName(ctx, "a.example.com", certfleet.DNS01); return err },
			"token":          func() error { _, err := db.TokenByHash(ctx, "h", now); return err },
			"revoked token": func() error {
				return db.Tx(ctx, now, func(tx *store.Tx) error { return tx.RevokeToken(ctx, 0, "none") })
			},
		} {
			if err := get(); certfleet.KindOf(err) != certfleet.NotFound {
				t.Errorf("%s: %v; want not found", what, err)
			}
		}
	})
}

func TestUnknownTargetIsRefusedAndNothingIsStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		c := &certfleet.Certificate{Label: "typo", PolicyID: f.policy.ID, Targets: []string{"edge-1", "egde-2"}}
		err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddCertificate(ctx, c, "operator") })
		if certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("got %v; want invalid with advice", err)
		}
		if _, err := db.CertificateByLabel(t.Context(), 1, "typo"); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("the certificate is there all the same: %v", err)
		}
	})
}
