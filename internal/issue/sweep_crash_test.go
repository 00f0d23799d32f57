package issue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// mortal is a fleet whose node dies after a commit.
type mortal struct {
	*fleet
	left int // commits that it has left to live; negative lives on
	n    int // of the node, the next one knows nothing of the last
}

// committed ends the process when its time has come.
func (m *mortal) committed() {
	if m.left < 0 {
		return
	}
	if m.left--; m.left < 0 {
		panic(died{"a commit"})
	}
}

// round does what is due once, as a node's sweep does, by a process that remembers
// nothing from before.
func (m *mortal) round(r *issue.Room, w []work.Kind) error {
	for _, k := range w {
		ids, err := k.Due(m.Context(), time.Now(), 100)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := k.Do(m.Context(), id); err != nil && !errors.Is(err, store.ErrStale) {
				return fmt.Errorf("%s %d: %w", k.Name, id, err)
			}
		}
	}
	return nil
}

// fresh is a new process with a name of its own.
func (m *mortal) fresh() (*issue.Room, []work.Kind) {
	m.n++
	r, w := m.node("m", nil)
	kinds := w.Kinds
	for i := range kinds {
		switch kinds[i].Name {
		case work.Orders(m.db, "", nil).Name:
			kinds[i] = work.Orders(m.db, owner(m.n), r.Step)
		case "replacements":
			kinds[i] = m.eager(r)
		}
	}
	return r, kinds
}

// eager lets a campaign go on before it is due, because nothing else would happen
// until then.
func (m *mortal) eager(r *issue.Room) work.Kind {
	later := func(ctx context.Context, now time.Time, limit int) ([]certfleet.Replacement, error) {
		return m.db.DueReplacements(ctx, now.Add(time.Hour), limit)
	}
	return kind("replacements", later, func(p certfleet.Replacement) int64 { return p.ID }, func(ctx context.Context, id int64) error { return r.Replace(ctx, id, time.Now().Add(time.Hour)) })
}

// story issues for two names with a backup each, replaces and revokes all four by a
// campaign, and ends when nothing is left to do. It dies after so many commits of
// the campaign (none if negative), goes on with another process, and says how many
// commits there were.
func (m *mortal) story(after int) (commits int) {
	m.Helper()
	r, kinds := m.fresh()
	certs := m.want(certfleet.LaneNew, fmt.Sprintf("a%d.example", m.n), fmt.Sprintf("b%d.example", m.n))
	m.until(r, kinds, func() bool { return m.holds(certs, 0) })
	spec := certfleet.ReplacementSpec{Revoke: true, Reason: 4}
	var old []*certfleet.Version
	for _, c := range certs {
		list, _, err := m.db.Versions(m.Context(), store.VersionFilter{CertificateID: c.ID, Limit: 10})
		if err != nil || len(list) != 2 {
			m.Fatalf("%s has versions %+v, %v; want its own and its backup's", c.Label, list, err)
		}
		for _, v := range list {
			spec.Serials, old = append(spec.Serials, v.Serial), append(old, &v)
		}
	}
	p, err := intake.Room{DB: m.db}.Replace(m.Context(), spec)
	if err != nil {
		m.Fatal(err)
	}
	placed := m.ca.Stats().Orders
	over := func() bool {
		got, err := m.db.Replacement(m.Context(), p.ID)
		return err == nil && got.State == certfleet.ReplacementDone && m.holds(certs, 1)
	}
	const plenty = 1 << 20
	m.left = plenty
	if after >= 0 {
		m.left = after
		m.dying(func() { m.until(r, kinds, over) })
		if m.left >= 0 {
			m.Fatalf("it came to its end with %d commits left", m.left)
		}
		if err := work.FreeDead(m.Context(), m.db); err != nil {
			m.Fatal(err)
		}
		r, kinds = m.fresh()
	}
	m.until(r, kinds, over)
	commits, m.left = plenty-m.left, -1
	m.judge(after, p.ID, certs, old, m.ca.Stats().Orders-placed)
	return commits
}

// dying runs f, which ends as a process does that is killed.
func (m *mortal) dying(f func()) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(died); !ok {
				panic(p)
			}
		}
	}()
	f()
}

func (m *mortal) until(r *issue.Room, kinds []work.Kind, done func() bool) {
	m.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := m.round(r, kinds); err != nil {
			m.Fatal(err)
		}
		if done() {
			return
		}
	}
	m.Fatalf("it is not done: %s", m.reasons())
}

// holds reports whether each certificate and its backup have a version that was
// issued, the so-manieth, and nothing is under way for them.
func (m *mortal) holds(certs []*certfleet.Certificate, replaced int) bool {
	for _, c := range certs {
		list, _, err := m.db.Versions(m.Context(), store.VersionFilter{CertificateID: c.ID, Limit: 10})
		live, _, err2 := m.db.Orders(m.Context(), store.OrderFilter{CertificateID: c.ID, State: "live"})
		if err != nil || err2 != nil || len(list) < 2*(replaced+1) || len(live) > 0 {
			return false
		}
	}
	due, err := m.db.DueCleanups(m.Context(), time.Now(), 10)
	return err == nil && len(due) == 0
}

// judge wants each version replaced once and revoked, no new one revoked, and
// nothing left behind.
func (m *mortal) judge(after int, id int64, certs []*certfleet.Certificate, old []*certfleet.Version, placed int) {
	m.Helper()
	if got := m.stands(id); got != "done [revoked:4]" {
		m.Errorf("killed after commit %d: the campaign is %s", after, got)
	}
	if placed < 4 || placed > 5 || after < 0 && placed > 4 {
		m.Errorf("killed after commit %d: the CA took %d orders, want one each and one that died at most", after, placed)
	}
	for _, was := range old {
		v, err := m.db.Version(m.Context(), was.ID)
		if err != nil || v.RevokedAt.IsZero() || v.ReplacedBy == 0 {
			m.Errorf("killed after commit %d: version %d is revoked %s, replaced by %d, %v", after, was.ID, v.RevokedAt, v.ReplacedBy, err)
		}
	}
	for _, c := range certs {
		list, _, err := m.db.Versions(m.Context(), store.VersionFilter{CertificateID: c.ID, Limit: 10})
		if err != nil || len(list) != 4 || !list[0].RevokedAt.IsZero() || !list[1].RevokedAt.IsZero() {
			m.Errorf("killed after commit %d: %s has %d versions, the newest revoked %s and %s: %v", after, c.Label, len(list), list[0].RevokedAt, list[1].RevokedAt, err)
		}
		if got := m.certificate(c.ID); got.DueAt.Before(time.Now()) || got.Lane != certfleet.LaneRoutine || got.Failures != 0 {
			m.Errorf("killed after commit %d: %s is due %s in lane %s after %d failures (%s)", after, c.Label, got.DueAt, got.Lane, got.Failures, got.Problem)
		}
	}
	if b := m.bucket(m.newOrders()); b.Held != 0 {
		m.Errorf("killed after commit %d: %d tokens are still held for orders that have ended", after, b.Held)
	}
}

// TestASweepIsKilledAfterEachOfItsCommits has the commits of a campaign: versions
// found, certificates and backups asked for, orders opened and stepped, windows
// learned, challenges taken away, versions revoked.
func TestASweepIsKilledAfterEachOfItsCommits(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		file := storetest.SQLiteFile(t)
		synctest.Test(t, func(t *testing.T) { sweepAndDie(t, file) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		sweepAndDie(t, storetest.PostgresURL(t))
	})
}

func sweepAndDie(t *testing.T, where string) {
	m := &mortal{left: -1}
	db, err := store.Open(context.WithoutCancel(t.Context()), where, store.Options{Committed: m.committed})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m.fleet = newFleet(t, db, fakeca.Options{})
	m.policy.Spec.Backup = &certfleet.BackupSpec{Authority: m.auth.Label}
	m.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SavePolicy(ctx, m.policy) })
	all := m.story(-1)
	step := 1
	switch {
	case !trial.Full():
		step = 9
	case db.Postgres() && !trial.Long():
		step = 3 // it goes by the wall's clock there
	}
	for n := 0; n < all-1; n += step {
		m.story(n)
	}
	m.unbroken()
	t.Logf("%d commits", all)
}
