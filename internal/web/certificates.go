package web

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/store"
)

func (s *server) certificateRoutes() {
	const tag, path = "certificates", "/v1/certificates"
	on(s, "GET", path, route{certfleet.ScopeRead, "list-certificates", tag, "List certificates", ""}, s.listCertificates)
	on(s, "POST", path, route{certfleet.ScopeIssue, "add-certificate", tag, "Ask for a certificate", "Idempotent by label: asked again for the same, it answers the one that is there."}, s.addCertificate)
	on(s, "GET", path+"/{id}", route{certfleet.ScopeRead, "get-certificate", tag, "Read a certificate", ""}, s.getCertificate)
	on(s, "PUT", path+"/{id}", route{certfleet.ScopeIssue, "put-certificate", tag, "Make a certificate, or change it to be so", "The path names it by label."}, s.putCertificate)
	on(s, "PATCH", path+"/{id}", route{certfleet.ScopeIssue, "change-certificate", tag, "Change a certificate", "What is absent stays."}, s.changeCertificate)
	on(s, "DELETE", path+"/{id}", route{certfleet.ScopeIssue, "remove-certificate", tag, "Remove a certificate", "Nothing is ordered, delivered or looked at for it any more. Its versions and events stay on record."}, s.turn(intake.Room.Remove))
	on(s, "POST", path+"/{id}/renew", route{certfleet.ScopeIssue, "renew-certificate", tag, "Renew a certificate now", "An order that is on its way is hurried instead."}, s.renewCertificate)
	on(s, "POST", path+"/{id}/pause", route{certfleet.ScopeIssue, "pause-certificate", tag, "Pause a certificate", "Nothing is ordered for it until it is resumed."}, s.turn(intake.Room.Pause))
	on(s, "POST", path+"/{id}/resume", route{certfleet.ScopeIssue, "resume-certificate", tag, "Resume a certificate", ""}, s.turn(intake.Room.Resume))
}

func (s *server) listCertificates(ctx context.Context, q *api.CertificateQuery) (*page[api.Certificate], error) {
	f, err := certificateFilter(ctx, q)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Certificates(ctx, f)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfCertificate), nil
}

func certificateFilter(ctx context.Context, q *api.CertificateQuery) (f store.CertificateFilter, err error) {
	now := time.Now()
	f = store.CertificateFilter{Tenant: tenant(ctx), State: q.State, Issuer: q.Issuer, Profile: q.Profile, Policy: q.Policy, Target: q.Target, Limit: q.Limit}
	if err := oneOf("state", q.State, "active", "paused", "external", "parked", "removed", "failing", "due", "none", "all"); err != nil {
		return f, err
	}
	if f.DueBefore, err = within(now, q.DueWithin); err != nil {
		return f, err
	}
	if f.ExpiresBefore, err = within(now, q.ExpiresWithin); err != nil {
		return f, err
	}
	if f.Labels, err = labels(q.Label); err != nil {
		return f, err
	}
	f.After, err = readCursor(ctx, q.Cursor)
	return f, err
}

func (s *server) getCertificate(ctx context.Context, in *ByID) (*out[api.Certificate], error) {
	c, err := s.certificate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(api.OfCertificate(c)), nil
}

// certificateAnswer is the wire form of what came of an act.
func certificateAnswer(r *intake.Result) api.CertificateAnswer {
	return api.CertificateAnswer{Certificate: api.OfCertificate(r.Certificate), Created: r.Created, Changed: r.Changed, OrderID: r.OrderID, Overlaps: r.Overlaps}
}

func (s *server) addCertificate(ctx context.Context, in *makeOne[api.NewCertificate]) (*out[api.CertificateAnswer], error) {
	return remembered(ctx, s, "add-certificate", in, func() (api.CertificateAnswer, error) { return s.add(ctx, in.Body) })
}

func (s *server) add(ctx context.Context, n api.NewCertificate) (api.CertificateAnswer, error) {
	r, err := s.intake(ctx).Add(ctx, n, "operator")
	if err != nil {
		return api.CertificateAnswer{}, err
	}
	return certificateAnswer(r), nil
}

func (s *server) putCertificate(ctx context.Context, in *askID[api.NewCertificate]) (*out[api.CertificateAnswer], error) {
	if c, err := s.certificate(ctx, in.ID); err == nil {
		in.ID = c.Label
	}
	in.Body.Label, in.Body.Update = in.ID, true
	a, err := s.add(ctx, in.Body)
	return &out[api.CertificateAnswer]{a}, err
}

func (s *server) changeCertificate(ctx context.Context, in *askID[api.CertificateChange]) (*out[api.CertificateAnswer], error) {
	c, err := s.certificate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	r, err := s.intake(ctx).Update(ctx, c.ID, in.Body)
	if err != nil {
		return nil, err
	}
	return answer(certificateAnswer(r)), nil
}

func (s *server) renewCertificate(ctx context.Context, in *mayAskID[api.Renewal]) (*out[api.CertificateAnswer], error) {
	c, err := s.certificate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	r, err := s.intake(ctx).Renew(ctx, c.ID, in.given())
	if err != nil {
		return nil, err
	}
	return answer(certificateAnswer(r)), nil
}

// turn is an operation that moves a certificate to another state.
func (s *server) turn(do func(intake.Room, context.Context, int64) (*intake.Result, error)) func(context.Context, *ByID) (*out[api.CertificateAnswer], error) {
	return func(ctx context.Context, in *ByID) (*out[api.CertificateAnswer], error) {
		c, err := s.certificate(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		r, err := do(s.intake(ctx), ctx, c.ID)
		if err != nil {
			return nil, err
		}
		return answer(certificateAnswer(r)), nil
	}
}
