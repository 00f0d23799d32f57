package issue_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/work"
)

// TestNodesOfOneStoreShareACampaign lets three of them find, ask, order and revoke
// at the same time.
func TestNodesOfOneStoreShareACampaign(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Parallel()
		const certs, nodes = 12, 3
		m := &mortal{fleet: newFleet(t, db, fakeca.Options{}), left: -1}
		r, kinds := m.fresh()
		list := m.want(certfleet.LaneNew, many("c%d.example", certs)...)
		m.until(r, kinds, func() bool { return m.issued() == certs })
		placed := m.ca.Stats().Orders
		first, err := db.Version(t.Context(), m.certificate(list[0].ID).VersionID)
		if err != nil {
			t.Fatal(err)
		}
		p, err := intake.Room{DB: db}.Replace(t.Context(), certfleet.ReplacementSpec{Issuer: first.Issuer, Revoke: true, Reason: 4})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range nodes {
			r, kinds := m.fresh()
			all.Go(func() { m.runFor(r, kinds, p.ID) })
		}
		all.Wait()
		if got := m.stands(p.ID); got != "done [revoked:12]" {
			t.Errorf("it is %s", got)
		}
		if n := m.ca.Stats().Orders - placed; n != certs {
			t.Errorf("the CA took %d orders for %d certificates", n, certs)
		}
		for _, c := range list {
			v, _, err := db.Versions(t.Context(), store.VersionFilter{CertificateID: c.ID, Limit: 10})
			if err != nil || len(v) != 2 || !v[0].RevokedAt.IsZero() || v[1].RevokedAt.IsZero() {
				t.Errorf("%s has versions %+v, %v; want a new one and a revoked one", c.Label, v, err)
			}
		}
		m.unbroken()
	})
}

// runFor sweeps until a campaign is done.
func (m *mortal) runFor(r *issue.Room, kinds []work.Kind, id int64) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err := m.round(r, kinds); err != nil && certfleet.KindOf(err) != certfleet.Conflict && !errors.Is(err, store.ErrStale) {
			m.Error(err)
			return
		}
		p, err := m.db.Replacement(m.Context(), id)
		if err != nil {
			m.Error(err)
			return
		}
		if p.State == certfleet.ReplacementDone {
			return
		}
	}
	m.Error("the campaign is not done within a minute")
}
