package web

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// find reads an object by its id or label. One of another tenant is not there.
func find[T any](ctx context.Context, what, id string, byNumber func(context.Context, int64) (*T, error), byLabel func(context.Context, int64, string) (*T, error), of func(*T) int64) (*T, error) {
	var v *T
	var err error
	if n, bad := strconv.ParseInt(id, 10, 64); bad == nil {
		v, err = byNumber(ctx, n)
	} else {
		v, err = byLabel(ctx, tenant(ctx), id)
	}
	if certfleet.KindOf(err) == certfleet.NotFound || err == nil && of(v) != tenant(ctx) {
		return nil, missing(what, id)
	}
	return v, err
}

func missing(what, id string) error {
	return &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("there is no %s %q", what, short(id)), Advice: "look for it in the list, or search for part of its name"}
}

func (s *server) certificate(ctx context.Context, id string) (*certfleet.Certificate, error) {
	return find(ctx, "certificate", id, s.DB.Certificate, s.DB.CertificateByLabel, func(c *certfleet.Certificate) int64 { return c.Tenant })
}

func (s *server) policy(ctx context.Context, id string) (*certfleet.Policy, error) {
	return find(ctx, "policy", id, s.DB.Policy, s.DB.PolicyByLabel, func(p *certfleet.Policy) int64 { return p.Tenant })
}

func (s *server) authority(ctx context.Context, id string) (*certfleet.Authority, error) {
	return find(ctx, "authority", id, s.DB.Authority, s.DB.AuthorityByLabel, func(a *certfleet.Authority) int64 { return a.Tenant })
}

func (s *server) account(ctx context.Context, id string) (*certfleet.Account, error) {
	return find(ctx, "account", id, s.DB.Account, s.DB.AccountByLabel, func(a *certfleet.Account) int64 { return a.Tenant })
}

func (s *server) target(ctx context.Context, id string) (*certfleet.StoredTarget, error) {
	return find(ctx, "target", id, s.DB.Target, s.DB.TargetByLabel, func(t *certfleet.StoredTarget) int64 { return t.Tenant })
}

func (s *server) version(ctx context.Context, id string) (*certfleet.Version, error) {
	return find(ctx, "version", id, s.DB.Version, s.DB.VersionByFingerprint, func(v *certfleet.Version) int64 { return v.Tenant })
}

func (s *server) key(ctx context.Context, id string) (*certfleet.Key, error) {
	return find(ctx, "key", id, s.DB.Key, s.DB.KeyBySPKI, func(k *certfleet.Key) int64 { return k.Tenant })
}

func (s *server) order(ctx context.Context, id int64) (*certfleet.Order, error) {
	o, err := s.DB.Order(ctx, id)
	if certfleet.KindOf(err) == certfleet.NotFound || err == nil && o.Tenant != tenant(ctx) {
		return nil, missing("order", strconv.FormatInt(id, 10))
	}
	return o, err
}

// certificateID is the id of a certificate that a filter names, zero for none.
// narrow reads what most lists are narrowed by: a certificate, labels, and behind
// which row the page begins.
func (s *server) narrow(ctx context.Context, certificate string, label []string, cursor string) (id int64, carry certfleet.Labels, after store.Cursor, err error) {
	if id, err = s.certificateID(ctx, certificate); err != nil {
		return id, carry, after, err
	}
	if carry, err = labels(label); err != nil {
		return id, carry, after, err
	}
	after, err = readCursor(ctx, cursor)
	return id, carry, after, err
}

func (s *server) certificateID(ctx context.Context, id string) (int64, error) {
	if id == "" {
		return 0, nil
	}
	c, err := s.certificate(ctx, id)
	if err != nil {
		return 0, err
	}
	return c.ID, nil
}

func (s *server) accountID(ctx context.Context, id string) (int64, error) {
	if id == "" {
		return 0, nil
	}
	a, err := s.account(ctx, id)
	if err != nil {
		return 0, err
	}
	return a.ID, nil
}

func (s *server) targetID(ctx context.Context, id string) (int64, error) {
	if id == "" {
		return 0, nil
	}
	t, err := s.target(ctx, id)
	if err != nil {
		return 0, err
	}
	return t.ID, nil
}

// authorityLabel is how people call an authority; its id when it is gone.
func (s *server) authorityLabel(ctx context.Context, id int64) string {
	a, err := s.DB.Authority(ctx, id)
	if err != nil {
		return strconv.FormatInt(id, 10)
	}
	return cmp.Or(a.Label, strconv.FormatInt(id, 10))
}
