package simulate

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// seedling is a certificate of the fleet before it is stored.
type seedling struct {
	profile string
	issued  time.Time // zero for one that has no certificate yet
	due     time.Time
}

// fill stores the fleet as it stands after years: every certificate somewhere in
// the part of its life before its renewal. They are stored in the order in which
// they are due, as a fleet that grew would nearly be.
func (w *world) fill(ctx context.Context) error {
	var authority int64
	policies := map[string]int64{}
	var first int64
	err := w.db.Tx(ctx, w.From, func(tx *store.Tx) (err error) {
		if authority, first, err = w.found(ctx, tx, policies); err != nil {
			return err
		}
		for _, l := range w.Overrides {
			err := tx.SetOverride(ctx, store.LimitOverride{Authority: w.Limits, Name: string(l.Name), N: l.Count, Period: l.Period, Burst: l.Burst})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	list := w.seedlings()
	for i := 0; i < len(list); {
		err := w.db.Tx(ctx, w.From, func(tx *store.Tx) error {
			for n := 0; n < 5000 && i < len(list); n, i = n+1, i+1 {
				if err := w.settle(ctx, tx, i, list[i], policies[list[i].profile], authority, first); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// found makes what all share: authorities, accounts, a policy for each profile,
// and one order that stands for all that got what is there at the start.
func (w *world) found(ctx context.Context, tx *store.Tx, policies map[string]int64) (authority, order int64, err error) {
	a, acct, err := w.account(ctx, tx, w.Limits)
	if err != nil {
		return 0, 0, err
	}
	w.acct = acct.URL
	labels := []string{w.Limits}
	if w.Backup {
		if _, _, err := w.account(ctx, tx, second); err != nil {
			return 0, 0, err
		}
		labels = append(labels, second)
	}
	for _, s := range w.Mix {
		p := &certfleet.Policy{Label: s.Profile, Spec: certfleet.PolicySpec{Authorities: labels, Profile: s.Profile}}
		if err := tx.AddPolicy(ctx, p); err != nil {
			return 0, 0, err
		}
		policies[s.Profile] = p.ID
	}
	names, err := certfleet.ParseNames([]string{"past.example"})
	if err != nil {
		return 0, 0, err
	}
	past := &certfleet.Certificate{Label: "past", Names: names, PolicyID: policies[w.Mix[0].Profile], State: certfleet.Removed}
	if err := tx.AddFleet(ctx, past, nil); err != nil {
		return 0, 0, err
	}
	o := &certfleet.Order{CertificateID: past.ID, AuthorityID: a.ID, AccountID: acct.ID, Slot: certfleet.SlotECDSA, Names: names}
	if err := tx.AddOrder(ctx, o); err != nil {
		return 0, 0, err
	}
	o.State = certfleet.OrderIssued
	return a.ID, o.ID, tx.SaveOrder(ctx, o)
}

// seedlings draws the fleet.
func (w *world) seedlings() []seedling {
	draw := rand.New(rand.NewPCG(w.Seed, 2))
	out := make([]seedling, w.Fleet)
	for i := range out {
		s := seedling{profile: pick(w.Mix, draw), due: w.From}
		if i >= w.New {
			life := lifeOf(s.profile, w.From)
			before := life - plan.Lead(life) - life/50
			s.issued = w.From.Add(-time.Duration(draw.Float64() * float64(before)))
			s.due = s.issued.Add(life - plan.Lead(life))
		}
		out[i] = s
	}
	slices.SortStableFunc(out, func(a, b seedling) int { return cmp.Compare(a.due.UnixNano(), b.due.UnixNano()) })
	return out
}

func pick(mix []Share, draw *rand.Rand) string {
	all := 0
	for _, s := range mix {
		all += s.Weight
	}
	n := draw.IntN(all)
	for _, s := range mix {
		if n -= s.Weight; n < 0 {
			return s.Profile
		}
	}
	return mix[0].Profile
}

func lifeOf(profile string, at time.Time) time.Duration {
	for _, p := range fakeca.LetsEncryptProfiles() {
		if p.Name == profile {
			return p.At(at).Life
		}
	}
	return 0
}

// settle stores one certificate, with what it holds.
func (w *world) settle(ctx context.Context, tx *store.Tx, i int, s seedling, policy, authority, order int64) error {
	name, err := certfleet.ParseName(fmt.Sprintf("shop%07d.example", i))
	if err != nil {
		return err
	}
	c := &certfleet.Certificate{Label: name.String(), Names: []certfleet.Name{name}, PolicyID: policy, State: certfleet.Active, DueAt: w.From, Lane: certfleet.LaneNew}
	if s.issued.IsZero() {
		return tx.AddFleet(ctx, c, nil)
	}
	got, err := w.cas[w.Limits].Remember(fakeca.Ask{Account: w.acct, Names: c.Names, Profile: s.profile}, s.issued)
	if err != nil {
		return err
	}
	g := givenOf(got)
	v := &certfleet.Version{OrderID: order, Origin: "issued", Names: c.Names, Serial: g.Serial, Fingerprint: fmt.Sprintf("%016x", i), AuthorityID: authority, Profile: s.profile,
		NotBefore: g.NotBefore, NotAfter: g.NotAfter, ARIID: g.ARIID, ARIStart: g.Window.Start, ARIEnd: g.Window.End}
	v.ARIAt = plan.DrawARI(plan.Usable(g.Window, v.NotBefore, v.NotAfter), s.issued, w.chance.Float64())
	next := plan.RenewAt(v.NotBefore, v.NotAfter, v.ARIAt, w.chance.Float64())
	c.DueAt, c.DueReason, c.Lane = next.At, next.Reason, certfleet.LaneRoutine
	c.NotAfter, c.UrgentAt = v.NotAfter, plan.UrgentAt(v.NotBefore, v.NotAfter)
	return tx.AddFleet(ctx, c, v)
}
