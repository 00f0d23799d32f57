package issue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// campaign begins a replacement of all that the fleet's CA issued.
func (f *fleet) campaign(change func(*certfleet.ReplacementSpec)) *certfleet.Replacement {
	f.Helper()
	list, _, err := f.db.Versions(f.Context(), store.VersionFilter{Limit: 1})
	if err != nil || len(list) == 0 {
		f.Fatalf("versions %+v, %v", list, err)
	}
	spec := certfleet.ReplacementSpec{Issuer: list[0].Issuer}
	change(&spec)
	p, err := intake.Room{DB: f.db}.Replace(context.WithoutCancel(f.Context()), spec)
	if err != nil {
		f.Fatal(err)
	}
	return p
}

// stands is a replacement's state and its items by theirs.
func (f *fleet) stands(id int64) string {
	f.Helper()
	p, err := f.db.Replacement(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	n, err := f.db.ReplacementCounts(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return string(p.State) + " " + strings.TrimPrefix(fmt.Sprint(n), "map")
}

func (f *fleet) turn(id int64, to certfleet.ReplacementState) {
	f.Helper()
	if _, err := (intake.Room{DB: f.db}).TurnReplacement(context.WithoutCancel(f.Context()), id, to); err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) paused(c *certfleet.Certificate, is bool) {
	f.Helper()
	in, ctx := intake.Room{DB: f.db}, context.WithoutCancel(f.Context())
	turn := in.Resume
	if is {
		turn = in.Pause
	}
	if _, err := turn(ctx, c.ID); err != nil {
		f.Fatal(err)
	}
}

// TestWhenItsTimeHasComeAllThatIsLeftIsRevoked pauses one certificate before the
// campaign and one after it was asked for.
func TestWhenItsTimeHasComeAllThatIsLeftIsRevoked(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "ready.example", "paused.example", "later.example")
		f.live(time.Minute)
		f.paused(c[1], true)
		f.ca.Inject(fakeca.Fault{Kind: fakeca.Outage, Endpoint: "newOrder", Until: time.Now().Add(time.Minute)})
		p := f.campaign(func(s *certfleet.ReplacementSpec) { s.Revoke, s.RevokeBy = true, time.Now().Add(2*time.Hour) })
		f.live(10 * time.Second)
		if got := f.stands(p.ID); got != "running [asked:2 skipped:1]" {
			f.Fatalf("at first it is %s", got)
		}
		f.paused(c[2], true)
		f.live(110 * time.Minute)
		if got := f.stands(p.ID); got != "running [revoked:1 skipped:2]" && got != "running [revoked:2 skipped:1]" {
			f.Fatalf("before its time it is %s", got)
		}
		if v, err := f.db.Version(f.Context(), c[1].VersionID); err == nil && !v.RevokedAt.IsZero() {
			f.Error("a version was revoked before its time")
		}
		f.live(20 * time.Minute)
		if got := f.stands(p.ID); got != "done [overdue:1 revoked:2]" && got != "done [overdue:2 revoked:1]" {
			f.Errorf("after its time it is %s", got)
		}
		v, err := f.db.Version(f.Context(), f.certificate(c[1].ID).VersionID)
		if err != nil || v.RevokedAt.IsZero() {
			f.Errorf("the paused certificate's version was revoked %s, %v", v.RevokedAt, err)
		}
	})
}

// TestWhatACampaignLeftAsideIsTakenUpAgain resumes one that is done.
func TestWhatACampaignLeftAsideIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		c := f.want(certfleet.LaneNew, "a.example", "b.example")
		f.live(time.Minute)
		f.paused(c[1], true)
		p := f.campaign(func(s *certfleet.ReplacementSpec) { s.Revoke = true })
		f.live(10 * time.Minute)
		if got := f.stands(p.ID); got != "done [revoked:1 skipped:1]" {
			f.Fatalf("it is %s", got)
		}
		f.paused(c[1], false)
		f.turn(p.ID, certfleet.ReplacementRunning)
		f.live(10 * time.Minute)
		if got := f.stands(p.ID); got != "done [revoked:2]" {
			f.Errorf("taken up again, it is %s", got)
		}
		if _, err := (intake.Room{DB: f.db}).TurnReplacement(f.Context(), p.ID, certfleet.ReplacementRunning); certfleet.KindOf(err) != certfleet.Conflict {
			f.Errorf("with nothing left to take up: %v", err)
		}
	})
}

// TestACAThatIsAwayIsAskedToRevokeLater has its revocations fail for an hour.
func TestACAThatIsAwayIsAskedToRevokeLater(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.want(certfleet.LaneNew, many("c%d.example", 3)...)
		f.live(time.Minute)
		f.ca.Inject(fakeca.Fault{Kind: fakeca.ServerError, Endpoint: "revokeCert", Status: 503, Until: time.Now().Add(time.Hour)})
		p := f.campaign(func(s *certfleet.ReplacementSpec) { s.Revoke = true })
		f.live(30 * time.Minute)
		if got := f.stands(p.ID); got != "running [replaced:3]" {
			f.Errorf("while the CA is away it is %s", got)
		}
		f.live(time.Hour)
		if got := f.stands(p.ID); got != "done [revoked:3]" {
			f.Errorf("afterwards it is %s", got)
		}
		if n := f.ca.Stats().Requests["revokeCert"]; n > 250 {
			f.Errorf("%d revocations were asked for in an hour, of three versions", n)
		}
	})
}

// TestACampaignDoesNotReplaceWhatItBrought names an issuer, from whom the new
// versions come too.
func TestACampaignDoesNotReplaceWhatItBrought(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.want(certfleet.LaneNew, "first.example")
		f.live(time.Minute)
		p := f.campaign(func(*certfleet.ReplacementSpec) {})
		f.want(certfleet.LaneNew, "second.example")
		f.tx(func(ctx context.Context, tx *store.Tx) error { // as if the walk came by only later
			got, err := tx.Replacement(ctx, p.ID)
			if err != nil {
				return err
			}
			got.DueAt = tx.Now().Add(10 * time.Minute)
			return tx.SaveReplacement(ctx, got)
		})
		f.live(30 * time.Minute)
		if got := f.stands(p.ID); got != "done [replaced:1]" {
			f.Errorf("it is %s", got)
		}
	})
}

func TestAnAbortGivesABackupItsTimeBack(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.policy.Spec.Backup = &certfleet.BackupSpec{Authority: f.auth.Label}
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SavePolicy(ctx, f.policy) })
		c := f.want(certfleet.LaneNew, "both.example")[0]
		f.live(time.Minute)
		was, err := f.db.BackupOf(f.Context(), c.ID)
		if err != nil || was.VersionID == 0 {
			f.Fatalf("backup %+v, %v", was, err)
		}
		f.ca.Inject(fakeca.Fault{Kind: fakeca.Outage, Endpoint: "newOrder"})
		p := f.campaign(func(*certfleet.ReplacementSpec) {})
		if err := f.room.Replace(f.Context(), p.ID, time.Now()); err != nil {
			f.Fatal(err)
		}
		asked, err := f.db.BackupOf(f.Context(), c.ID)
		if err != nil || asked.Lane != certfleet.LaneEmergency || asked.DueAt.After(time.Now()) {
			f.Fatalf("asked for, the backup is %+v, %v", asked, err)
		}
		f.turn(p.ID, certfleet.ReplacementAborting)
		if err := f.room.Replace(f.Context(), p.ID, time.Now()); err != nil {
			f.Fatal(err)
		}
		if got, err := f.db.BackupOf(f.Context(), c.ID); err != nil || !got.DueAt.Equal(was.DueAt) || got.Lane != was.Lane || got.DueReason != was.DueReason {
			f.Errorf("after the abort the backup is due %s in lane %s (%s), %v; want %s in %s", got.DueAt, got.Lane, got.DueReason, err, was.DueAt, was.Lane)
		}
	})
}

// TestAPlanSaysHowManyCannotBeReadyInTime has more renewals than a CA takes that
// exempts none of them.
func TestAPlanSaysHowManyCannotBeReadyInTime(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		f.want(certfleet.LaneNew, many("c%d.example", 12)...)
		f.live(time.Minute)
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.SetOverride(ctx, store.LimitOverride{Tenant: 1, Authority: "letsencrypt", Name: "pace-newOrder", N: 1, Period: time.Hour, Burst: 2})
		})
		time.Sleep(10 * time.Second) // longer than overrides are believed
		told := func(by time.Time) *issue.Foretold {
			list, _, err := f.db.Versions(f.Context(), store.VersionFilter{Limit: 1})
			if err != nil {
				f.Fatal(err)
			}
			got, err := f.room.Foretell(f.Context(), &certfleet.Replacement{Tenant: 1, Spec: certfleet.ReplacementSpec{Issuer: list[0].Issuer, Revoke: true, RevokeBy: by}})
			if err != nil {
				f.Fatal(err)
			}
			return got
		}
		if got := told(time.Time{}); got.Late != 0 || got.Takes < 10*time.Hour || len(got.Limits) == 0 {
			f.Errorf("without a time: %+v", got)
		}
		if got := told(time.Now().Add(5*time.Hour + 30*time.Minute)); got.Late < 5 || got.Late > 8 {
			f.Errorf("with half of the time that it takes: %+v", got)
		}
	})
}

// TestAPlanKnowsWhichSetsHadAllOfTheirs has one name that was issued as often as
// the CA does in a week, beside three that were not.
func TestAPlanKnowsWhichSetsHadAllOfTheirs(t *testing.T) {
	t.Parallel()
	f := newFleetAt(t, storetest.SQLite(t), "letsencrypt", fakeca.Options{})
	certs := f.want(certfleet.LaneNew, many("u%d.example", 4)...)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for i, cert := range certs {
			v := &certfleet.Version{Tenant: 1, CertificateID: cert.ID, AuthorityID: f.auth.ID, Names: cert.Names, Issuer: "Used", Serial: fmt.Sprint(i + 1), Fingerprint: fmt.Sprint("u", i), NotBefore: tx.Now(), NotAfter: tx.Now().Add(90 * dayLong)}
			if err := tx.AddVersion(ctx, v, nil); err != nil {
				return err
			}
			cert.VersionID = v.ID
			if err := tx.SaveCertificate(ctx, cert); err != nil {
				return err
			}
		}
		week := store.Bucket{Name: "certificates-per-set", N: 5, Period: 7 * dayLong}
		empty, half := week, week
		empty.Key, empty.FullAt = "letsencrypt||certificates-per-set|u0.example", tx.Now().Add(7*dayLong)
		half.Key, half.FullAt = "letsencrypt||certificates-per-set|u1.example", tx.Now().Add(3*dayLong)
		return tx.SaveBuckets(ctx, []store.Bucket{empty, half})
	})
	told := func(by time.Duration) *issue.Foretold {
		got, err := f.room.Foretell(t.Context(), &certfleet.Replacement{Tenant: 1, Spec: certfleet.ReplacementSpec{Issuer: "Used", Revoke: true, RevokeBy: time.Now().Add(by)}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	soon, late := told(24*time.Hour), told(48*time.Hour)
	if soon.Takes < 33*time.Hour || soon.Takes > 34*time.Hour || soon.Late != 1 || len(soon.Limits) != 1 || !strings.Contains(soon.Limits[0], "certificates-per-set of letsencrypt: 1 orders") {
		t.Errorf("it says %+v; want one that waits for 33 hours", soon)
	}
	if late.Late != 0 {
		t.Errorf("%d cannot be ready in two days; want none", late.Late)
	}
}

// TestAPlanKnowsTheLimitOnADomain is at a CA that exempts no renewals.
func TestAPlanKnowsTheLimitOnADomain(t *testing.T) {
	t.Parallel()
	f := newFleetAt(t, storetest.SQLite(t), "small", fakeca.Options{})
	c := f.want(certfleet.LaneNew, many("s%d.great.example", 6)...)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for i, cert := range c {
			v := &certfleet.Version{Tenant: 1, CertificateID: cert.ID, AuthorityID: f.auth.ID, Names: cert.Names, Issuer: "Small", Serial: fmt.Sprint(i + 1), Fingerprint: fmt.Sprint("f", i), NotBefore: tx.Now(), NotAfter: tx.Now().Add(90 * dayLong)}
			if err := tx.AddVersion(ctx, v, nil); err != nil {
				return err
			}
			cert.VersionID = v.ID
			if err := tx.SaveCertificate(ctx, cert); err != nil {
				return err
			}
		}
		return tx.SetOverride(ctx, store.LimitOverride{Tenant: 1, Authority: "small", Name: "certificates-per-domain", N: 2, Period: 2 * time.Hour})
	})
	f.room.Forget(f.auth.ID)
	got, err := f.room.Foretell(t.Context(), &certfleet.Replacement{Tenant: 1, Spec: certfleet.ReplacementSpec{Issuer: "Small", Revoke: true, RevokeBy: time.Now().Add(150 * time.Minute)}})
	if err != nil || got.Takes != 4*time.Hour || got.Late != 2 || len(got.Limits) != 1 || !strings.Contains(got.Limits[0], "6 orders for great.example take 4h") {
		t.Errorf("it says %+v, %v; want four hours for the domain, and two that cannot be ready", got, err)
	}
}
