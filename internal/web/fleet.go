package web

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) fleetRoutes() {
	on(s, "POST", "/v1/apply", route{certfleet.ScopeAdmin, "apply-fleet", "fleet", "Make the fleet as it is declared", "All of it or nothing; what is not named stays as it is, and so does a field that is left out of an object that exists: give it empty to clear it. The lists limit_overrides and blocklist are sets: what a list that is given does not name goes. With dry_run it says what would change."}, s.apply)
	on(s, "GET", "/v1/search", route{certfleet.ScopeRead, "search", "fleet", "Search for names, serials, fingerprints and the like", ""}, s.search)
	on(s, "POST", "/v1/probe", route{certfleet.ScopeDeliver, "probe", "fleet", "Look at what names serve now", "The server makes the handshakes, so it is for those who may deliver."}, s.probe)
}

type applyInput struct {
	api.ApplyQuery
	RawBody []byte // says which fields were given
	Body    api.Fleet
}

func (s *server) apply(ctx context.Context, in *applyInput) (*out[api.Applied], error) {
	given, err := intake.GivenIn(in.RawBody)
	if err != nil {
		return nil, err
	}
	a, err := s.intake(ctx).ApplyGiven(ctx, in.Body, given, in.DryRun)
	if err != nil {
		return nil, err
	}
	if s.Acts.ForgetAuthority != nil && !in.DryRun {
		for _, ca := range in.Body.Authorities {
			if row, err := s.DB.AuthorityByLabel(ctx, tenant(ctx), ca.Label); err == nil {
				s.Acts.ForgetAuthority(row.ID)
			}
		}
	}
	return answer(*a), nil
}

func (s *server) search(ctx context.Context, q *api.SearchQuery) (*out[api.Hits], error) {
	carry, err := labels(q.Label)
	if err != nil {
		return nil, err
	}
	hits, err := s.found(ctx, q, carry)
	if err != nil {
		return nil, err
	}
	res := api.Hits{Hits: make([]api.Hit, 0, len(hits))}
	for _, h := range hits {
		w, err := s.hit(ctx, h)
		if err != nil {
			return nil, err
		}
		res.Hits = append(res.Hits, w)
	}
	return answer(res), nil
}

const (
	mostHits   = 100  // of a search that says no limit
	mostSifted = 1000 // hits that are looked at when certain labels are asked for
)

// found are the hits of a search, of certificates that carry the labels.
func (s *server) found(ctx context.Context, q *api.SearchQuery, carry certfleet.Labels) ([]store.Hit, error) {
	if len(carry) == 0 {
		return s.DB.Search(ctx, tenant(ctx), q.Q, q.Limit)
	}
	hits, err := s.DB.Search(ctx, tenant(ctx), q.Q, mostSifted)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(hits))
	for i, h := range hits {
		ids[i] = h.CertificateID
	}
	which, err := s.DB.WhichCarry(ctx, ids, carry)
	hits = slices.DeleteFunc(hits, func(h store.Hit) bool { return !which[h.CertificateID] })
	return hits[:min(len(hits), cmp.Or(q.Limit, mostHits))], err
}

// hit is a find with where it leads: certificate, order, account, targets.
func (s *server) hit(ctx context.Context, h store.Hit) (api.Hit, error) {
	w := api.Hit{Kind: h.Kind, ID: h.ID, Field: h.Field, Value: h.Value, CertificateID: h.CertificateID, VersionID: h.VersionID, OrderID: h.OrderID}
	if h.VersionID != 0 {
		v, err := s.DB.Version(ctx, h.VersionID)
		if err != nil {
			return w, err
		}
		w.OrderID, w.NotAfter = v.OrderID, v.NotAfter.Format(time.RFC3339)
	}
	if h.CertificateID != 0 {
		c, err := s.DB.Certificate(ctx, h.CertificateID)
		if err != nil {
			return w, err
		}
		w.Certificate, w.State, w.Targets = c.Label, string(c.State), c.Targets
	}
	if w.OrderID == 0 {
		return w, nil
	}
	o, err := s.DB.Order(ctx, w.OrderID)
	if err != nil {
		return w, err
	}
	a, err := s.DB.Account(ctx, o.AccountID)
	if err != nil {
		return w, err
	}
	w.AccountID, w.Account = a.ID, a.Label
	return w, nil
}

// mostLooks bounds the handshakes of one request.
const mostLooks = 500

func (s *server) probe(ctx context.Context, in *ask[api.ProbeRequest]) (*out[api.Looks], error) {
	names, addrs, err := s.places(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if len(names)*max(1, len(addrs)) > mostLooks {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "these are too many looks for one request", Advice: "give fewer names or addresses at a time"}
	}
	res := api.Looks{Looks: []api.Look{}}
	for _, n := range names {
		for _, sight := range probe.LookAll(ctx, []certfleet.Name{n}, placesOf(n, addrs), s.Probe) {
			look, err := s.look(ctx, sight)
			if err != nil {
				return nil, err
			}
			res.Looks = append(res.Looks, look)
		}
	}
	return answer(res), nil
}

func placesOf(n certfleet.Name, addrs []string) []string {
	if len(addrs) > 0 {
		return addrs
	}
	return []string{n.Base()}
}

// places are the names to look at and where.
func (s *server) places(ctx context.Context, r api.ProbeRequest) ([]certfleet.Name, []string, error) {
	if r.Certificate == "" {
		names, err := certfleet.ParseNames(r.Names)
		if err == nil && len(names) == 0 {
			err = &certfleet.Error{Kind: certfleet.Invalid, Msg: "there is nothing to look at", Advice: "give names, or a certificate"}
		}
		return names, r.Addresses, err
	}
	c, err := s.certificate(ctx, r.Certificate)
	if err != nil {
		return nil, nil, err
	}
	if len(r.Addresses) > 0 {
		return c.Names, r.Addresses, nil
	}
	targets, err := s.DB.TargetsOf(ctx, c.ID)
	var addrs []string
	for _, t := range targets {
		addrs = append(addrs, t.Probe...)
	}
	return c.Names, addrs, err
}

// look is a sight with what it means to us.
func (s *server) look(ctx context.Context, sight probe.Sight) (api.Look, error) {
	l := api.Look{Name: sight.Name.String(), Address: sight.Address, Remote: sight.Remote, Fingerprint: sight.Fingerprint, NotAfter: sight.NotAfter,
		Matches: sight.Matches, Trusted: sight.Trusted, Distrust: sight.Distrust, Protocol: sight.Protocol, At: sight.At}
	if sight.Err != nil {
		l.Problem, l.Advice = sight.Err.Error(), certfleet.AdviceOf(sight.Err)
		return l, nil
	}
	leaf := sight.Leaf()
	l.Serial, l.Issuer = pki.Serial(leaf), cmp.Or(leaf.Issuer.CommonName, strings.Join(leaf.Issuer.Organization, ", "))
	v, err := s.DB.VersionByFingerprint(ctx, tenant(ctx), sight.Fingerprint)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	l.VersionID = v.ID
	slots, err := s.DB.SlotsOf(ctx, tenant(ctx), sight.Name)
	for _, slot := range slots {
		l.Wanted = l.Wanted || slot.VersionID == v.ID
	}
	return l, err
}
