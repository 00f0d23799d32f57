package issue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestARevokedCertificateIsDueAtOnceWithAnotherKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what    string
		reason  int
		keepKey bool
	}{{"superseded", 4, true}, {"key compromise", issue.ReasonKeyCompromise, false}} {
		t.Run(c.what, func(t *testing.T) {
			h := build(t, storetest.SQLite(t), pebble.Options{NonceReject: 10})
			r := h.room(nil)
			cert := h.wantBy(h.policyLike("reuse", func(s *certfleet.PolicySpec) { s.ReuseKey = true }), "revoked.example")
			h.issue(r, cert)
			first := h.issue(r, h.again(cert.ID))
			was, leaf := h.version(first.VersionID)
			if err := r.Revoke(t.Context(), was.ID, c.reason); err != nil {
				t.Fatal(err)
			}
			if !h.ca.Revoked(leaf) {
				t.Error("the CA knows of no revocation")
			}
			got := h.certificate(cert.ID)
			if got.DueAt.IsZero() || got.DueAt.After(time.Now()) || got.Lane != certfleet.LaneEmergency {
				t.Errorf("due %s in lane %s", got.DueAt, got.Lane)
			}
			if err := h.room(nil).Revoke(t.Context(), was.ID, c.reason); err != nil {
				t.Errorf("a second time: %v", err)
			}
			now, _ := h.version(h.issue(h.room(nil), got).VersionID)
			if (now.KeyID == was.KeyID) != c.keepKey {
				t.Errorf("key %d became %d, kept must be %v", was.KeyID, now.KeyID, c.keepKey)
			}
			if n := strings.Count(h.events(cert.ID), "version.revoked"); n != 1 {
				t.Errorf("%d events of revocation", n)
			}
		})
	}
}

// TestARevocationWhoseCommitWasLostIsRepeated has the CA know and us not.
func TestARevocationWhoseCommitWasLostIsRepeated(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	c := h.want("twice.example")
	v, leaf := h.version(h.issue(r, c).VersionID)
	if err := h.ca.Revoke(leaf, 4); err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(t.Context(), v.ID, 4); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.version(v.ID); got.RevokedAt.IsZero() {
		t.Error("the version is not on record as revoked")
	}
}

func TestARevocationNeedsNoAccount(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	v, leaf := h.version(h.issue(r, h.want("orphan.example")).VersionID)
	if err := r.Deactivate(t.Context(), h.acct.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(t.Context(), v.ID, issue.ReasonKeyCompromise); err != nil {
		t.Fatal(err)
	}
	if !h.ca.Revoked(leaf) {
		t.Error("the CA knows of no revocation")
	}
}

func TestAWindowThatHasPassedRenewsAtOnce(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	c := h.want("window.example")
	v, leaf := h.version(h.issue(r, c).VersionID)
	now := time.Now()
	for _, w := range []struct {
		what       string
		start, end time.Time
		due        time.Time
		lane       certfleet.Lane
	}{
		{"moved", now.Add(24 * time.Hour), now.Add(48 * time.Hour), now.Add(48 * time.Hour), certfleet.LaneRoutine},
		{"passed", now.Add(-48 * time.Hour), now.Add(-24 * time.Hour), time.Time{}, certfleet.LaneEmergency},
	} {
		if err := h.ca.SetRenewalInfo(leaf, w.start, w.end, "https://ca.test/why"); err != nil {
			t.Fatal(err)
		}
		v, err := h.db.Version(t.Context(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		asked := v.ARIPollAt.Add(time.Second)
		if err := r.PollARI(t.Context(), v.ID, asked); err != nil {
			t.Fatal(err)
		}
		if w.due.IsZero() {
			w.due = asked
		}
		if v, err := h.db.Version(t.Context(), v.ID); err != nil || v.ARIURL != "https://ca.test/why" {
			t.Errorf("%s: the CA explains it at %q, %v", w.what, v.ARIURL, err)
		}
		got := h.certificate(c.ID)
		if w.lane == certfleet.LaneEmergency && !strings.Contains(got.DueReason, "https://ca.test/why") {
			t.Errorf("%s: it is due because %q, without the CA's explanation", w.what, got.DueReason)
		}
		if got.DueAt.IsZero() || got.DueAt.After(w.due) || got.Lane != w.lane || !strings.Contains(got.DueReason, "window") {
			t.Errorf("%s: due %s in lane %s (%s), want until %s in %s", w.what, got.DueAt, got.Lane, got.DueReason, w.due, w.lane)
		}
	}
}

func TestRenewalNeverHangsOnTheWindow(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	c := h.want("noari.example")
	v, leaf := h.version(h.issue(r, c).VersionID)
	if err := h.ca.SetRenewalAnswer(leaf, `{"suggestedWindow":{"start":"nonsense"}}`); err != nil {
		t.Fatal(err)
	}
	was := h.certificate(c.ID)
	if err := r.PollARI(t.Context(), v.ID, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	got, _ := h.version(v.ID)
	if got.ARIProblem == "" || !got.ARIPollAt.After(time.Now()) {
		t.Errorf("problem %q, next question %s", got.ARIProblem, got.ARIPollAt)
	}
	if now := h.certificate(c.ID); !now.DueAt.Equal(was.DueAt) || now.Problem != "" {
		t.Errorf("due %s became %s, problem %q", was.DueAt, now.DueAt, now.Problem)
	}
}
