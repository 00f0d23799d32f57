package web

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// bucketsShown is how many buckets of one limit are listed, the emptiest first.
const bucketsShown = 50

func (s *server) limitRoutes(tag string) {
	on(s, "GET", "/v1/limits", route{certfleet.ScopeRead, "get-limits", tag, "What CAs allow, what is left of it, and what they told us to wait for", ""}, s.limits)
	on(s, "POST", "/v1/limits/clear", route{certfleet.ScopeAdmin, "clear-limit", tag, "Forget what was counted and learned of one limit", "For when a person knows better, as after names were unpaused at the CA. Who waits for it has a turn at once."}, s.clearLimit)
	on(s, "PUT", "/v1/limits/override", route{certfleet.ScopeAdmin, "set-override", tag, "Note what a CA granted beyond what it publishes", ""}, s.setOverride)
	on(s, "DELETE", "/v1/limits/override", route{certfleet.ScopeAdmin, "remove-override", tag, "Let the published limit hold again", ""}, s.removeOverride)
}

func (s *server) limits(ctx context.Context, q *api.LimitsQuery) (*out[api.Limits], error) {
	now := time.Now()
	back, err := duration(cmp.Or(q.Since, "7d"))
	if err != nil {
		return nil, err
	}
	counts, err := s.DB.ExchangeCounts(ctx, now.Add(-back))
	if err != nil {
		return nil, err
	}
	pauses, err := s.DB.Pauses(ctx, now)
	if err != nil {
		return nil, err
	}
	authorities, accounts, err := s.callNames(ctx)
	if err != nil {
		return nil, err
	}
	res := api.Limits{Requests: []api.RequestCount{}, Pauses: []api.Pause{}, Buckets: []api.LimitBucket{}, Overrides: []api.LimitOverride{}}
	for _, c := range counts {
		if _, ours := authorities[c.AuthorityID]; !ours {
			continue
		}
		res.Requests = append(res.Requests, api.RequestCount{Day: c.Day, Authority: authorities[c.AuthorityID], Account: accounts[c.AccountID], Kind: c.Kind, Status: c.Status, N: c.N})
	}
	l, err := s.ledger(ctx, now)
	if err != nil {
		return nil, err
	}
	for _, p := range pauses {
		if l.may(p.Key) {
			res.Pauses = append(res.Pauses, ofPause(&p))
		}
	}
	for _, o := range l.overrides {
		res.Overrides = append(res.Overrides, l.override(o))
	}
	if q.Name != "" {
		res.Buckets, err = s.bucketsFor(ctx, l, q.Name)
	} else {
		res.Buckets, err = l.list(ctx, s.DB)
	}
	return &out[api.Limits]{res}, err
}

// bucketsFor are the buckets that the next order touches of the certificate with
// that label or name, or of one for the name alone where nobody wants it.
func (s *server) bucketsFor(ctx context.Context, l *ledger, subject string) ([]api.LimitBucket, error) {
	st := &story{now: l.now}
	if err := s.wanting(ctx, st, subject); err != nil {
		return nil, err
	}
	names := []certfleet.Name{st.name}
	if st.cert != nil {
		names = st.cert.Names
	}
	return l.touched(ctx, s.DB, names)
}

func (s *server) clearLimit(ctx context.Context, in *ask[api.ClearLimit]) (*out[api.Done], error) {
	l, err := s.ledger(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	if !l.may(in.Body.Key) {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("no limit is kept under %q", in.Body.Key), Advice: "see certfleet limits for the keys"}
	}
	err = s.DB.Tx(ctx, l.now, func(tx *store.Tx) error { return tx.ClearLimit(ctx, in.Body.Key) })
	return &out[api.Done]{api.Done{Done: true}}, err
}

func (s *server) setOverride(ctx context.Context, in *ask[api.LimitOverride]) (*out[api.Done], error) {
	b := in.Body
	o, err := s.intake(ctx).OverrideRow(ctx, s.DB.Q, b)
	if err != nil {
		return nil, err
	}
	err = s.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SetOverride(ctx, o) })
	return &out[api.Done]{api.Done{Done: true}}, err
}

func (s *server) removeOverride(ctx context.Context, q *api.OverrideQuery) (*out[api.Done], error) {
	o, err := s.intake(ctx).OverrideOf(ctx, s.DB.Q, q.Authority, q.Account, q.Domain, q.Limit)
	if err != nil {
		return nil, err
	}
	err = s.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.RemoveOverride(ctx, o) })
	return &out[api.Done]{api.Done{Done: true}}, err
}
