package web

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) statusRoutes() {
	const tag = "status"
	on(s, "GET", "/v1/overview", route{certfleet.ScopeRead, "get-overview", tag, "The fleet in numbers", ""}, s.overview)
	s.limitRoutes(tag)
	on(s, "GET", "/v1/jobs", route{certfleet.ScopeRead, "get-jobs", tag, "What is worked on and what is due", ""}, s.jobs)
	on(s, "POST", "/v1/sweep", route{certfleet.ScopeIssue, "sweep", tag, "Run one round of one kind of work", "With dry_run it says what would be done."}, s.sweep)
	on(s, "GET", "/v1/version", route{certfleet.ScopeRead, "get-release", tag, "The program that answers", ""}, func(context.Context, *none) (*out[api.Release], error) {
		return answer(s.release()), nil
	})
}

// ofAll refuses those who may not know or do what concerns all tenants.
func ofAll(ctx context.Context) error {
	if tenant(ctx) == certfleet.DefaultTenant {
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Denied, Msg: "this concerns all tenants", Advice: "use a token of the default tenant"}
}

func (s *server) overview(ctx context.Context, _ *none) (*out[api.Overview], error) {
	if err := ofAll(ctx); err != nil {
		return nil, err
	}
	g, err := s.DB.Gauges(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	o := api.Overview{Certificates: byWord(g.Certificates, same), Orders: byWord(g.Orders, laneWord), Deliveries: byWord(g.Deliveries, same),
		Failures: byWord(g.Failures, same), Due: g.Due, Overdue: g.Overdue, Expiring: g.Expiring, Expired: g.Expired, OldestOpen: g.OldestOpen}
	return answer(o), nil
}

func same(s string) string { return cmp.Or(s, "other") }

// laneWord is the word of a lane that the store counts by number.
func laneWord(s string) string {
	n, err := strconv.Atoi(s)
	if err != nil {
		return "other"
	}
	return certfleet.Lane(n).String()
}

func byWord(list []store.Count, word func(string) string) map[string]int64 {
	out := map[string]int64{}
	for _, c := range list {
		out[word(c.Word)] += c.N
	}
	return out
}

// callNames are the labels of the tenant's authorities and accounts by id.
func (s *server) callNames(ctx context.Context) (authorities, accounts map[int64]string, err error) {
	cas, err := s.DB.Authorities(ctx, tenant(ctx))
	if err != nil {
		return nil, nil, err
	}
	list, err := s.DB.Accounts(ctx, tenant(ctx))
	if err != nil {
		return nil, nil, err
	}
	authorities, accounts = map[int64]string{}, map[int64]string{}
	for _, a := range cas {
		authorities[a.ID] = a.Label
	}
	for _, a := range list {
		accounts[a.ID] = a.Label
	}
	return authorities, accounts, nil
}

func (s *server) jobs(ctx context.Context, _ *none) (*out[api.Jobs], error) {
	res := api.Jobs{Running: []api.RunningJob{}, Due: []api.DueJobs{}, Lanes: []api.LaneJobs{}, Failed: []api.Delivery{}, Trouble: []api.TroubledJob{}}
	if err := s.work(ctx, &res); err != nil {
		return nil, err
	}
	failing, _, err := s.DB.Certificates(ctx, store.CertificateFilter{Tenant: tenant(ctx), State: "failing"})
	if err != nil {
		return nil, err
	}
	res.Failing = api.All(failing, api.OfCertificate)
	list, err := s.DB.FailedDeliveries(ctx, tenant(ctx), mostFailed)
	res.Failed = api.All(list, api.OfDelivery)
	return &out[api.Jobs]{res}, err
}

// work adds what this server works on, and what waits, for those who may know of all
// tenants.
func (s *server) work(ctx context.Context, j *api.Jobs) (err error) {
	if ofAll(ctx) != nil {
		return nil
	}
	if s.Acts.Queued != nil {
		running, trouble, err := s.Acts.Queued(ctx)
		if err != nil {
			return err
		}
		j.Running, j.Trouble = append(j.Running, running...), append(j.Trouble, trouble...)
	}
	if s.Acts.DueByKind != nil {
		due, err := s.Acts.DueByKind(ctx)
		if err != nil {
			return err
		}
		j.Due = append(j.Due, due...)
	}
	if err := s.waits(ctx, j); err != nil {
		return err
	}
	j.NextAt, err = s.DB.NextDue(ctx)
	return err
}

func (s *server) sweep(ctx context.Context, in *ask[api.Sweep]) (*out[api.Swept], error) {
	if err := ofAll(ctx); err != nil {
		return nil, err
	}
	if s.Acts.Sweep == nil {
		return nil, unable("a sweep")
	}
	swept, err := s.Acts.Sweep(ctx, in.Body.Kind, in.Body.Limit, in.Body.DryRun)
	return &out[api.Swept]{swept}, err
}
