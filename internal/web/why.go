package web

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) whyRoutes() {
	on(s, "GET", "/v1/why/{name}", route{certfleet.ScopeRead, "why", "fleet", "Say what holds for a name, and why", "From stored facts: what we have and where it was seen, due when and why then, the last problem, advice, and the next step."}, s.why)
}

// story is what why is told from.
type story struct {
	now     time.Time
	name    certfleet.Name // zero when a label was asked for
	domain  *certfleet.Domain
	cert    *certfleet.Certificate
	version *certfleet.Version
	order   *certfleet.Order
	served  []api.Served
	sent    []certfleet.Delivery
	pauses  []store.PauseRow
	w       api.Why
}

func (s *server) why(ctx context.Context, in *ByName) (*out[api.Why], error) {
	st, err := s.gather(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	st.tell()
	return answer(st.w), nil
}

// gather reads the facts; each is found by an index. They are asked for one after
// the other: side by side they took longer where PostgreSQL shared two busy cores
// with us, which may be that each connection has to plan every question itself.
func (s *server) gather(ctx context.Context, subject string) (*story, error) {
	st := &story{now: time.Now().UTC()}
	st.w.Subject = short(subject)
	if err := s.wanting(ctx, st, subject); err != nil {
		return st, err
	}
	if st.cert == nil {
		return st, s.registered(ctx, st)
	}
	for _, part := range []func(context.Context, *story) error{s.registered, s.having, s.slotted, s.warming, s.ordering, s.serving, s.waiting} {
		if err := part(ctx, st); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// wanting finds the certificate that wants the name: the one with the label, by
// the name itself, or by a wildcard over it.
func (s *server) wanting(ctx context.Context, st *story, subject string) error {
	name, bad := certfleet.ParseName(subject)
	if bad != nil {
		c, err := s.certificate(ctx, subject)
		if certfleet.KindOf(err) == certfleet.NotFound {
			return bad
		}
		st.cert = c
		return err
	}
	st.name = name
	all, err := s.wanters(ctx, name)
	if err != nil || len(all) == 0 {
		return err
	}
	st.cert = &all[max(0, slices.IndexFunc(all, func(c certfleet.Certificate) bool { return c.Label == subject && slices.Contains(c.Names, name) }))]
	for i := range all {
		if st.cert.ID != all[i].ID && all[i].State != certfleet.Removed {
			st.w.Also = append(st.w.Also, all[i].Label)
		}
	}
	return nil
}

// registered finds what is known of the name as a domain.
func (s *server) registered(ctx context.Context, st *story) (err error) {
	if st.name.IsZero() {
		return nil
	}
	st.domain, err = s.DB.Domain(ctx, tenant(ctx), st.name)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	return err
}

// wanters are the certificates for a name, then those for the wildcard over it.
func (s *server) wanters(ctx context.Context, name certfleet.Name) ([]certfleet.Certificate, error) {
	_, parent, _ := strings.Cut(name.String(), ".")
	wild, bad := certfleet.ParseName("*." + parent)
	if bad != nil || !wild.Covers(name) || wild == name {
		return s.DB.CertificatesOf(ctx, tenant(ctx), name)
	}
	return s.DB.CertificatesOf(ctx, tenant(ctx), name, wild)
}

func (s *server) having(ctx context.Context, st *story) error {
	w := api.OfCertificate(st.cert)
	st.w.Certificate = &w
	if st.cert.VersionID == 0 {
		return nil
	}
	v, err := s.DB.Version(ctx, st.cert.VersionID)
	if err != nil {
		return err
	}
	have := api.OfVersion(v)
	st.version, st.w.Have = v, &have
	return nil
}

// slotted finds what the names serve.
func (s *server) slotted(ctx context.Context, st *story) error {
	names := st.cert.Names
	if !st.name.IsZero() && slices.Contains(names, st.name) {
		names = []certfleet.Name{st.name}
	}
	for _, n := range names[:min(len(names), 20)] {
		slots, err := s.DB.SlotsOf(ctx, tenant(ctx), n)
		if err != nil {
			return err
		}
		st.w.Slots = append(st.w.Slots, api.All(slots, api.OfSlot)...)
	}
	return nil
}

// ordering finds the newest order: it matters while it lives, and when it failed.
func (s *server) ordering(ctx context.Context, st *story) error {
	o, err := s.DB.LastOrder(ctx, st.cert.ID)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	if err != nil || o.State == certfleet.OrderIssued {
		return err
	}
	w := api.OfOrder(o)
	st.order, st.w.Order = o, &w
	list, err := s.DB.ChallengesOf(ctx, o.ID)
	st.w.Challenges = api.All(list, api.OfChallenge)
	return err
}

// serving reads where the version in use was seen.
func (s *server) serving(ctx context.Context, st *story) error {
	if st.version == nil {
		return nil
	}
	list, _, err := s.DB.Deliveries(ctx, store.DeliveryFilter{Tenant: tenant(ctx), CertificateID: st.cert.ID, VersionID: st.version.ID})
	if err != nil {
		return err
	}
	st.sent = list
	for _, d := range list {
		sights, err := s.DB.Sightings(ctx, d.ID)
		if err != nil {
			return err
		}
		st.served = append(st.served, seen(st, d, sights)...)
	}
	st.w.Served = st.served
	return nil
}

func seen(st *story, d certfleet.Delivery, sights []certfleet.Sighting) []api.Served {
	var out []api.Served
	for _, g := range sights {
		if !st.name.IsZero() && g.Name != st.name && slices.Contains(st.cert.Names, st.name) {
			continue
		}
		out = append(out, api.Served{Target: d.Target, State: string(d.State), Name: g.Name.String(), Address: g.Address, Ours: g.Fingerprint == st.version.Fingerprint, Problem: g.Problem, At: g.At})
	}
	if len(out) == 0 {
		out = append(out, api.Served{Target: d.Target, State: string(d.State), Problem: d.Problem, At: cmp.Or(d.AppliedAt, d.SentAt)})
	}
	return out
}

// waiting finds what CAs told us to wait for, as far as it concerns the order.
func (s *server) waiting(ctx context.Context, st *story) error {
	if st.order == nil || !st.order.Live() {
		return nil
	}
	l, err := s.ledger(ctx, st.now)
	if err != nil {
		return err
	}
	rows, err := s.DB.Pauses(ctx, st.now)
	for _, p := range rows {
		if l.concerns(&p, st.order) {
			st.pauses = append(st.pauses, p)
			st.w.Pauses = append(st.w.Pauses, ofPause(&p))
		}
	}
	return err
}
