package issue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// settle takes a replacement and the orders that it asks for to their end.
func (h *house) settle(r *issue.Room, id int64) *certfleet.Replacement {
	h.Helper()
	for end := time.Now().Add(trial.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		p, err := h.db.Replacement(h.Context(), id)
		if err != nil {
			h.Fatal(err)
		}
		if p.DueAt.IsZero() {
			return p
		}
		if err := r.Replace(h.Context(), id, p.DueAt); err != nil {
			h.Fatal(err)
		}
		ids, err := r.Due(h.Context(), time.Now(), 50)
		if err != nil {
			h.Fatal(err)
		}
		for _, c := range ids {
			h.finish(r, h.open(r, h.certificate(c)).ID)
		}
	}
	h.Fatalf("replacement %d goes on", id)
	return nil
}

func (h *house) counts(id int64) string {
	h.Helper()
	n, err := h.db.ReplacementCounts(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return strings.TrimPrefix(fmt.Sprint(n), "map")
}

// TestAKeyThatIsOutIsReplacedEverywhereFirstAndThenRevoked lets three
// certificates share a key, one of which is paused.
func TestAKeyThatIsOutIsReplacedEverywhereFirstAndThenRevoked(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	shared := h.policyLike("shared", func(s *certfleet.PolicySpec) { s.KeyCycle = certfleet.KeyGlobalWeekly })
	var certs []*certfleet.Certificate
	for _, l := range []string{"a.example.com", "b.example.com", "c.example.com"} {
		c := h.wantBy(shared, l)
		h.issue(r, c)
		certs = append(certs, h.certificate(c.ID))
	}
	other := h.want("other.example.com")
	h.issue(r, other)
	in := intake.Room{DB: h.db}
	if _, err := in.Pause(t.Context(), certs[2].ID); err != nil {
		t.Fatal(err)
	}
	was, _ := h.version(certs[0].VersionID)
	key, err := h.db.Key(t.Context(), was.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	p, err := in.Compromise(t.Context(), key, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if p = h.settle(r, p.ID); p.State != certfleet.ReplacementDone || h.counts(p.ID) != "[revoked:2 skipped:1]" {
		t.Errorf("replacement %+v: %s", p, h.counts(p.ID))
	}
	for _, c := range certs[:2] {
		now := h.certificate(c.ID)
		before, leaf := h.version(c.VersionID)
		after, _ := h.version(now.VersionID)
		if after.KeyID == key.ID || before.RevokedAt.IsZero() || !h.ca.Revoked(leaf) || after.CreatedAt.After(before.RevokedAt) {
			t.Errorf("%s: version %d with key %d, before it %d with key %d, revoked %s", c.Label, after.ID, after.KeyID, before.ID, before.KeyID, before.RevokedAt)
		}
	}
	if c := h.certificate(other.ID); c.VersionID == 0 || !c.DueAt.After(time.Now()) {
		t.Errorf("a certificate with another key was touched: %+v", c)
	}
}

func TestAReplacementIsForetoldAbortedAndResumed(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	var certs []*certfleet.Certificate
	for _, l := range []string{"a.example.com", "b.example.com"} {
		c := h.want(l)
		h.issue(r, c)
		certs = append(certs, h.certificate(c.ID))
	}
	first, _ := h.version(certs[0].VersionID)
	spec := certfleet.ReplacementSpec{Issuer: first.Issuer, IssuedAfter: first.NotBefore.Add(-time.Hour)}
	told, err := r.Foretell(t.Context(), &certfleet.Replacement{Tenant: 1, Spec: spec})
	if err != nil || told.Items[certfleet.ItemWanted] != 2 {
		t.Errorf("foretold %+v, %v", told, err)
	}
	if told, err := r.Foretell(t.Context(), &certfleet.Replacement{Tenant: 1, Spec: certfleet.ReplacementSpec{Serials: []string{first.Serial}}}); err != nil || told.Items[certfleet.ItemWanted] != 1 {
		t.Errorf("foretold by serial %+v, %v", told, err)
	}
	in := intake.Room{DB: h.db}
	p, err := in.Replace(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Replace(t.Context(), p.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if c := h.certificate(certs[0].ID); c.Lane != certfleet.LaneEmergency || c.DueAt.After(time.Now()) {
		t.Errorf("asked for, it is due %s in lane %s", c.DueAt, c.Lane)
	}
	if _, err := in.TurnReplacement(t.Context(), p.ID, certfleet.ReplacementAborting); err != nil {
		t.Fatal(err)
	}
	if p = h.settle(r, p.ID); p.State != certfleet.ReplacementAborted || h.counts(p.ID) != "[released:2]" {
		t.Errorf("aborted, it is %+v: %s", p, h.counts(p.ID))
	}
	for _, was := range certs {
		if c := h.certificate(was.ID); !c.DueAt.Equal(was.DueAt) || c.Lane != was.Lane || c.DueReason != was.DueReason || c.VersionID != was.VersionID {
			t.Errorf("after the abort %s is due %s in lane %s (%s); want it as it was", c.Label, c.DueAt, c.Lane, c.DueReason)
		}
	}
	if _, err := in.TurnReplacement(t.Context(), p.ID, certfleet.ReplacementRunning); err != nil {
		t.Fatal(err)
	}
	if p = h.settle(h.room(nil), p.ID); p.State != certfleet.ReplacementDone || h.counts(p.ID) != "[replaced:2]" {
		t.Errorf("resumed, it is %+v: %s", p, h.counts(p.ID))
	}
	if _, err := in.TurnReplacement(t.Context(), p.ID, certfleet.ReplacementAborting); certfleet.KindOf(err) != certfleet.Conflict {
		t.Errorf("aborting what is done: %v", err)
	}
}
