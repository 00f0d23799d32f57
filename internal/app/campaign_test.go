package app_test

import (
	"fmt"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestAKilledNodeGoesOnWithACampaign kills the process after one of its commits
// while it replaces and revokes, and starts another one.
func TestAKilledNodeGoesOnWithACampaign(t *testing.T) {
	t.Parallel()
	for engine, url := range map[string]func(testing.TB) string{"sqlite": func(testing.TB) string { return "" }, "postgres": storetest.PostgresURL} {
		for _, after := range []int{3, 6, 10, 15, 21, 28} {
			t.Run(fmt.Sprintf("%s/%s%d", engine, commitsThen, after), func(t *testing.T) {
				if after != 10 {
					trial.InFull(t)
				}
				t.Parallel()
				newNestAt(t, url(t)).campaign(after)
			})
		}
	}
}

func (n *nest) campaign(after int) {
	ids := n.want("a.campaign.example", "b.campaign.example", "c.campaign.example")
	first := n.start("never")
	old := map[int64]*certfleet.Version{}
	for _, id := range ids {
		until(n, "issue", func() (bool, string) {
			o, err := n.db.LastOrder(n.Context(), id)
			return err == nil && o.State == certfleet.OrderIssued, fmt.Sprint(err)
		})
		v, err := n.db.Version(n.Context(), n.order(id).VersionID)
		if err != nil {
			n.Fatal(err)
		}
		old[id] = v
	}
	first.Process.Kill()
	<-first.ended
	placed := n.placed.Load()
	p, err := intake.Room{DB: n.db}.Replace(n.Context(), certfleet.ReplacementSpec{Issuer: old[ids[0]].Issuer, Revoke: true, Reason: 4})
	if err != nil {
		n.Fatal(err)
	}
	n.dies(n.start(fmt.Sprint(commitsThen, after)))
	if got, err := n.db.Replacement(n.Context(), p.ID); err != nil || got.State != certfleet.ReplacementRunning {
		n.Fatalf("the campaign was over before the node died: %+v, %v", got, err)
	}
	n.start("never")
	until(n, "finish the campaign", func() (bool, string) {
		got, err := n.db.Replacement(n.Context(), p.ID)
		if err != nil {
			return false, err.Error()
		}
		counts, err := n.db.ReplacementCounts(n.Context(), p.ID)
		return got.State == certfleet.ReplacementDone, fmt.Sprint(got.State, counts, err) + n.saw(ids)
	})
	for _, id := range ids {
		list, _, err := n.db.Versions(n.Context(), store.VersionFilter{CertificateID: id, Limit: 10})
		if err != nil || len(list) != 2 || !list[0].RevokedAt.IsZero() || list[1].ID != old[id].ID || list[1].RevokedAt.IsZero() {
			n.Errorf("certificate %d has versions %+v, %v; want a new one and the revoked one", id, list, err)
		}
	}
	if extra := n.placed.Load() - placed - int64(len(ids)); extra < 0 || extra > int64(len(ids)) {
		n.Errorf("the CA took %d orders more than certificates; want none but those whose answers died", extra)
	}
}

// saw is how certificates and their last orders stand.
func (n *nest) saw(ids []int64) (out string) {
	for _, id := range ids {
		c, err := n.db.Certificate(n.Context(), id)
		o, err2 := n.db.LastOrder(n.Context(), id)
		if err != nil || err2 != nil {
			return fmt.Sprint(err, err2)
		}
		out += fmt.Sprintf("\n%s: due %s (%s) in lane %s, %d failures (%s); order %d is %s at the CA %q, held by %q, due %s: %s", c.Label, c.DueAt, c.DueReason, c.Lane, c.Failures, c.Problem, o.ID, o.State, o.CAStatus, o.Owner, o.DueAt, o.Problem)
	}
	return out
}
