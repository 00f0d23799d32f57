package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestLifeOfAChallenge(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		ch := f.addChallenge(t, db, certfleet.HTTP01, "tok")
		if found, err := db.ChallengeByToken(ctx, "tok"); err != nil || found.KeyAuth != "tok.thumb" || !found.IntendedAt.Equal(now) || !found.PresentedAt.IsZero() {
			t.Fatalf("an intended challenge is not answered: %+v, %v", found, err)
		}
		again := certfleet.StoredChallenge{OrderID: f.order.ID, AuthorizationID: ch.AuthorizationID, Type: certfleet.HTTP01, KeyAuth: "other"}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.IntendChallenge(ctx, &again) })
		if again.ID != ch.ID || again.KeyAuth != "tok.thumb" {
			t.Errorf("intended twice: %+v; want what is stored", again)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, do := range []func() error{
				func() error { return tx.Presented(ctx, ch.ID, []byte("state")) },
				func() error { return tx.SawChallenge(ctx, ch.ID, "404") },
				func() error { return tx.Answered(ctx, ch.ID, "processing") },
				func() error { return tx.Hits(ctx, "tok", "192.0.2.1", 2) },
				func() error { return tx.Hits(ctx, "tok", "192.0.2.9", 1) },
			} {
				if err := do(); err != nil {
					return err
				}
			}
			return nil
		})
		got, err := db.ChallengeByName(ctx, "shop.example.com", certfleet.HTTP01)
		if err != nil || string(got.State) != "state" || got.Seen != "404" || got.Status != "processing" || got.Hits != 3 || got.LastHit != "192.0.2.9" ||
			!got.PresentedAt.Equal(now) || !got.AnsweredAt.Equal(now) {
			t.Errorf("after presenting: %+v, %v", got, err)
		}
		for order, want := range map[int64]bool{f.order.ID: false, f.order.ID + 1: true} {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				c := *got
				c.OrderID = order
				if taken, err := tx.HandshakeTaken(ctx, &c, now.Add(-time.Minute)); err != nil || taken != want {
					t.Errorf("for order %d the name is taken: %v, %v", order, taken, err)
				}
				taken, err := tx.HandshakeTaken(ctx, &c, now)
				if taken {
					t.Errorf("for order %d the name is taken by what was there before", order)
				}
				return err
			})
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ProveAuthorizations(ctx, f.order.ID) })
		if all, err := db.AuthorizationsOf(ctx, f.order.ID); err != nil || len(all) != 1 || all[0].Status != "valid" || !all[0].ExpiresAt.IsZero() {
			t.Errorf("after the CA called the order ready: %+v, %v", all, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.CleanLater(ctx, f.order.ID) })
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Cleaned(ctx, ch.ID) })
		list, err := db.ChallengesOf(ctx, f.order.ID)
		if err != nil || len(list) != 1 || list[0].State != nil || !list[0].CleanedAt.Equal(now) {
			t.Errorf("after cleaning: %+v, %v", list, err)
		}
		if _, err := db.ChallengeByToken(ctx, "tok"); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("a cleaned challenge is still answered: %v", err)
		}
	})
}

// TestAnotherKeyAuthorizationIsPresentedAnew has two challenges share a token, which
// is answered alike for both; a TXT record is each one's own.
func TestAnotherKeyAuthorizationIsPresentedAnew(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		for _, c := range []struct {
			typ       certfleet.ChallengeType
			presented time.Time
			other     string
		}{{certfleet.HTTP01, now, "tok.new"}, {certfleet.DNS01, time.Time{}, "tok.thumb"}} {
			first, beside := f.addChallenge(t, db, c.typ, "tok"), f.addChallenge(t, db, c.typ, "beside")
			second := *first
			second.ID, second.AuthorizationID = 0, f.addChallenge(t, db, certfleet.TLSALPN01, "of "+string(c.typ)).AuthorizationID
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.IntendChallenge(ctx, &second) })
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.Presented(ctx, first.ID, []byte("state")); err != nil {
					return err
				}
				if err := tx.Answered(ctx, first.ID, "processing"); err != nil {
					return err
				}
				return tx.Reintend(ctx, first, "tok.new")
			})
			got, err := db.Challenge(t.Context(), first.ID)
			if err != nil || !same(*got, *first) || got.KeyAuth != "tok.new" || got.State != nil || got.Status != "pending" || !got.PresentedAt.Equal(c.presented) || !got.AnsweredAt.IsZero() {
				t.Errorf("%s: %+v, %v", c.typ, got, err)
			}
			if other, err := db.Challenge(t.Context(), second.ID); err != nil || other.KeyAuth != c.other {
				t.Errorf("%s with the same token: %+v, %v", c.typ, other, err)
			}
			if other, err := db.Challenge(t.Context(), beside.ID); err != nil || !same(*other, *beside) {
				t.Errorf("%s with another token: %+v, %v", c.typ, other, err)
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Cleaned(ctx, first.ID) })
			err = db.Tx(t.Context(), now, func(tx *store.Tx) error { return tx.Reintend(t.Context(), first, "tok.late") })
			if !errors.Is(err, store.ErrStale) {
				t.Errorf("%s: what was cleaned up is presented again: %v", c.typ, err)
			}
		}
	})
}

func TestAuthorizationKeepsItsChosenChallenge(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		for _, a := range []certfleet.Authorization{{Status: "pending", Challenge: certfleet.DNS01}, {Status: "valid"}} {
			a.OrderID, a.URL, a.Name = f.order.ID, "u", f.cert.Names[0]
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SeeAuthorization(ctx, &a) })
		}
		list, err := db.AuthorizationsOf(t.Context(), f.order.ID)
		if err != nil || len(list) != 1 || list[0].Status != "valid" || list[0].Challenge != certfleet.DNS01 {
			t.Errorf("got %+v, %v; want one valid by dns-01", list, err)
		}
	})
}

func TestSlotIsFilledAnewNotTwice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		second := f.addVersion(t, db, f.cert.ID, "beef")
		n := f.cert.Names[0]
		for _, v := range []int64{f.version.ID, second.ID} {
			write(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.FillSlot(ctx, certfleet.Slot{Name: n, Kind: certfleet.SlotECDSA, VersionID: v})
			})
		}
		want := certfleet.Slot{Tenant: 1, Name: n, Kind: certfleet.SlotECDSA, VersionID: second.ID, Since: now}
		if got, err := db.SlotsOf(t.Context(), 0, n); err != nil || len(got) != 1 || !same(got[0], want) {
			t.Errorf("slots %+v, %v; want %+v", got, err, want)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Replaced(ctx, f.version.ID, second.ID); err != nil {
				return err
			}
			return tx.EmptySlots(ctx, second.ID)
		})
		if got, err := db.SlotsOf(t.Context(), 0, n); err != nil || len(got) != 0 {
			t.Errorf("emptied slots %+v, %v", got, err)
		}
		if old, err := db.Version(t.Context(), f.version.ID); err != nil || old.ReplacedBy != second.ID || old.Rev != 1 {
			t.Errorf("replaced version %+v, %v", old, err)
		}
	})
}

func TestChainsAndSightingsComeBackInOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		v := certfleet.Version{Fingerprint: "cc", Names: f.cert.Names, CertificateID: f.cert.ID, ChainPEM: []byte("a")}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			err := tx.AddVersion(ctx, &v, []certfleet.Chain{{Position: 1, Issuer: "X2", PEM: []byte("b")}, {Position: 0, Issuer: "X1", PEM: []byte("a")}})
			if err != nil {
				return err
			}
			return tx.WantDeliveries(ctx, &v)
		})
		want := []certfleet.Chain{{VersionID: v.ID, Position: 0, Issuer: "X1", PEM: []byte("a")}, {VersionID: v.ID, Position: 1, Issuer: "X2", PEM: []byte("b")}}
		if got, err := db.ChainsOf(ctx, v.ID); err != nil || !same(got, want) {
			t.Errorf("chains %+v, %v; want %+v", got, err, want)
		}
		d := deliveryOf(t, db, v.ID)
		s := certfleet.Sighting{DeliveryID: d.ID, Name: f.cert.Names[0], Address: "192.0.2.1:443", Problem: "refused", At: now}
		seen := s
		seen.Problem, seen.Fingerprint = "", "cc"
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Saw(ctx, s); err != nil {
				return err
			}
			return tx.Saw(ctx, seen)
		})
		if got, err := db.Sightings(ctx, d.ID); err != nil || !same(got, []certfleet.Sighting{seen}) {
			t.Errorf("sightings %+v, %v; want the newest look", got, err)
		}
		if list, err := db.TargetsOf(ctx, f.cert.ID); err != nil || len(list) != 1 || list[0].Label != "edge-1" {
			t.Errorf("targets of the certificate %+v, %v", list, err)
		}
		if list, err := db.DueSiblings(ctx, d, now, 5); err != nil || len(list) != 1 || list[0].ID != d.ID {
			t.Errorf("due siblings %+v, %v", list, err)
		}
	})
}

func TestKeysAndTheirOpenings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := store.WithActor(t.Context(), "token:ci")
		err := db.Tx(ctx, now, func(tx *store.Tx) error {
			for _, reason := range []string{"export", "export", "deliver"} {
				if err := tx.KeyOpened(ctx, f.key.ID, reason); err != nil {
					return err
				}
			}
			return tx.CompromiseKey(ctx, f.key.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := db.KeyOpenings(ctx, f.key.ID, 10)
		n := map[string]int64{}
		for _, o := range got {
			n[o.Actor+" "+o.Reason] += o.N
		}
		if err != nil || len(got) != 2 || n["token:ci export"] != 2 || n["token:ci deliver"] != 1 || !got[0].Hour.Equal(now.Truncate(time.Hour)) {
			t.Errorf("openings %+v, %v", got, err)
		}
		if k, err := db.KeyBySPKI(ctx, 0, "aa00"); err != nil || !k.CompromisedAt.Equal(now) {
			t.Errorf("key %+v, %v; want it compromised now", k, err)
		}
	})
}

func TestOnlyOneFirstDataKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		d := store.DataKeyRow{KeeperID: "file:a", Wrapped: []byte{1}}
		add := func(first bool) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { d := d; return tx.AddDataKey(ctx, &d, first) })
		}
		if err := add(true); err != nil {
			t.Fatal(err)
		}
		if err := add(true); certfleet.KindOf(err) != certfleet.Conflict {
			t.Errorf("a second first data key: %v", err)
		}
		if err := add(false); err != nil {
			t.Errorf("a further data key: %v", err)
		}
		list, err := db.DataKeys(ctx)
		if err != nil || len(list) != 2 {
			t.Fatalf("data keys %+v, %v", list, err)
		}
		rewrap := func(from string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.RewrapDataKey(ctx, list[0].ID, from, "vault:b", []byte{2})
			})
		}
		if e1, e2 := rewrap("file:a"), rewrap("file:a"); e1 != nil || certfleet.KindOf(e2) != certfleet.Conflict {
			t.Errorf("rewrapping: %v, then %v; want done, then a conflict", e1, e2)
		}
		list, _ = db.DataKeys(ctx)
		if list[0].KeeperID != "vault:b" || string(list[0].Wrapped) != "\x02" {
			t.Errorf("rewrapped to %+v", list[0])
		}
	})
}

func TestTokensLive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		tok := certfleet.Token{Label: "ci", Hash: "h", Scopes: []certfleet.Scope{certfleet.ScopeRead}, Labels: certfleet.Labels{"a": "b"}, ExpiresAt: now.Add(time.Hour)}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddToken(ctx, &tok); err != nil {
				return err
			}
			return tx.TokenUsed(ctx, tok.ID)
		})
		tok.UsedAt = now
		if got, err := db.TokenByHash(ctx, "h", now); err != nil || !same(*got, tok) {
			t.Errorf("got %+v, %v; want %+v", got, err, tok)
		}
		if _, err := db.TokenByHash(ctx, "h", now.Add(time.Hour)); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("an expired token opens: %v", err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RevokeToken(ctx, 0, "ci") })
		if _, err := db.TokenByHash(ctx, "h", now); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("a revoked token opens: %v", err)
		}
		if list, err := db.Tokens(ctx, 0); err != nil || len(list) != 1 || !list[0].RevokedAt.Equal(now) {
			t.Errorf("tokens %+v, %v", list, err)
		}
	})
}

func TestSettingsPausesAndAnswersAreRemembered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if v, err := db.Setting(ctx, "k"); err != nil || v != "" {
			t.Errorf("an unwritten setting is %q, %v", v, err)
		}
		if _, _, found, err := db.Remembered(ctx, 0, "k"); found || err != nil {
			t.Errorf("an unknown key was remembered: %v, %v", found, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, do := range []func() error{
				func() error { return tx.SetSetting(ctx, "k", "one") },
				func() error { return tx.SetSetting(ctx, "k", "two") },
				func() error { return tx.Remember(ctx, 0, "k", "req", "res") },
				func() error { return tx.Pause(ctx, "ca:1", now.Add(time.Minute), "slow down") },
				func() error { return tx.Pause(ctx, "ca:1", now.Add(time.Hour), "slower") },
				func() error { return tx.Pause(ctx, "ca:2", now.Add(-time.Hour), "past") },
				func() error { return tx.Strays(ctx, "/x", "192.0.2.1", 2) },
				func() error { return tx.Strays(ctx, "/y", "192.0.2.2", 3) },
			} {
				if err := do(); err != nil {
					return err
				}
			}
			return nil
		})
		if v, err := db.Setting(ctx, "k"); err != nil || v != "two" {
			t.Errorf("setting %q, %v", v, err)
		}
		if req, res, found, err := db.Remembered(ctx, 1, "k"); !found || req != "req" || res != "res" || err != nil {
			t.Errorf("remembered %q %q %v, %v", req, res, found, err)
		}
		until, why, err := db.PausedUntil(ctx, now, "ca:0", "ca:1", "ca:2")
		if err != nil || !until.Equal(now.Add(time.Hour)) || why != "slower" {
			t.Errorf("paused until %v for %q, %v", until, why, err)
		}
		if until, _, err := db.PausedUntil(ctx, now, "ca:2"); err != nil || !until.IsZero() {
			t.Errorf("a past pause holds until %v, %v", until, err)
		}
		want := []store.PauseRow{{Key: "ca:1", Until: now.Add(time.Hour), Reason: "slower", At: now}}
		if got, err := db.Pauses(ctx, now); err != nil || !same(got, want) {
			t.Errorf("pauses %+v, %v; want %+v", got, err, want)
		}
		var n int64
		var sample string
		if err := db.Raw().QueryRowContext(ctx, "SELECT n, sample FROM stray").Scan(&n, &sample); err != nil || n != 5 || sample != "/y" {
			t.Errorf("strays %d %q, %v; want 5, the last sample", n, sample, err)
		}
	})
}

func TestExchangesAreKeptCountedAndAged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		x := certfleet.Exchange{OrderID: f.order.ID, AccountID: f.account.ID, AuthorityID: f.authority.ID, At: now, Kind: "order", Method: "POST", URL: "https://ca.example/o",
			Status: 201, RetryAfter: "3", Took: 1234 * time.Microsecond}
		old := x
		old.At, old.OrderID, old.AccountID = now.Add(-100*time.Hour), 0, 0
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.AddExchanges(ctx, []certfleet.Exchange{x, x, old, old, old})
		})
		list, err := db.ExchangesOf(ctx, f.order.ID, 0)
		if err != nil || len(list) != 2 {
			t.Fatalf("exchanges %+v, %v; want two", list, err)
		}
		x.ID = list[0].ID
		if !same(list[0], x) {
			t.Errorf("got %+v, want %+v", list[0], x)
		}
		counts, err := db.ExchangeCounts(ctx, now)
		if err != nil || len(counts) != 1 || counts[0].N != 2 || counts[0].Day != "2026-03-14" || counts[0].Status != 201 {
			t.Errorf("counts since today %+v, %v", counts, err)
		}
		var rounds int
		for more := true; more && rounds < 10; rounds++ {
			write(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				more, err = tx.Age(ctx, now.Add(-time.Hour), now.Add(-time.Hour), 2)
				return err
			})
		}
		var left int
		if err := db.Raw().QueryRowContext(ctx, "SELECT count(*) FROM exchange").Scan(&left); err != nil || left != 2 || rounds != 2 {
			t.Errorf("%d exchanges are left after %d rounds, %v; want 2 after 2", left, rounds, err)
		}
	})
}

func TestGaugesCountTheFleet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		ctx := t.Context()
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			f.order.State, f.order.ProblemType = certfleet.OrderFailed, "rateLimited"
			f.cert.Failures, f.cert.DueAt, f.cert.NotAfter = 3, now.Add(-2*time.Hour), now.Add(-time.Minute)
			if err := tx.SaveOrder(ctx, &f.order); err != nil {
				return err
			}
			if err := tx.SaveCertificate(ctx, &f.cert); err != nil {
				return err
			}
			return tx.WantDeliveries(ctx, &f.version)
		})
		for i := range 3 {
			c := f.addCertificate(t, db, fmt.Sprint("c", i), fmt.Sprintf("c%d.example.net", i))
			c.State, c.DueAt, c.NotAfter = certfleet.Active, now.Add(time.Hour), now.Add(24*time.Hour)
			if i == 2 {
				c.State, c.DueAt = certfleet.Removed, time.Time{}
			}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, c) })
			f.addOrder(t, db, c.ID)
		}
		g, err := db.Gauges(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		want := store.Gauges{
			Certificates: []store.Count{{Word: "active", N: 3}, {Word: "removed", N: 1}}, Orders: []store.Count{{Word: "40", N: 3}},
			Deliveries: []store.Count{{Word: "due", N: 1}}, Failures: []store.Count{{Word: "rateLimited", N: 1}},
			Due: 3, Overdue: 1, Expiring: 3, Expired: 1, OldestOpen: now,
		}
		if !same(*g, want) {
			t.Errorf("gauges %+v\n  want %+v", *g, want)
		}
	})
}
