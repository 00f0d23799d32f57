package web

import (
	"context"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/web/compat"
)

func (s *server) formerRoutes() {
	on(s, "POST", "/v1/former", route{certfleet.ScopeAdmin, "keep-former", "fleet", "Keep numbers that objects had in a system that was taken over",
		"The routes of peter_sslers find the objects by them. A number that is kept stays with its object; one up to the highest that is not kept is nobody's there."}, s.keepFormer)
}

// room is by how much ids here begin above the highest number there, whose system
// goes on to count for a while. Ids from 2^31 on are beyond what some older clients
// read; of the highest number that is taken, less than half of these are gone.
func room(highest int64) int64 { return 2*highest + 1000 }

func (s *server) keepFormer(ctx context.Context, in *ask[api.FormerNumbers]) (*out[api.FormerKept], error) {
	b, objects, kept := in.Body, map[int64]int64{}, api.FormerKept{}
	if b.Highest > 0 { // ids are given out to all tenants from one sequence
		if err := ofAll(ctx); err != nil {
			return nil, err
		}
	}
	for _, n := range b.Numbers {
		id, err := s.objectOf(ctx, b.Kind, n.Ref)
		switch {
		case certfleet.KindOf(err) == certfleet.NotFound, certfleet.KindOf(err) == certfleet.Invalid:
			kept.Missing++
		case err != nil:
			return nil, err
		default:
			objects[n.Number] = id
		}
	}
	if b.DryRun {
		err := s.wouldKeep(ctx, s.DB.Q, b.Kind, objects, &kept)
		return answer(kept), err
	}
	counted := kept
	err := s.write(ctx, func(tx *store.Tx) error {
		kept = counted // it may be run again
		if b.Highest > 0 {
			if err := tx.SkipNumbers(ctx, b.Kind, room(b.Highest)); err != nil {
				return err
			}
		}
		if err := s.wouldKeep(ctx, tx.Q, b.Kind, objects, &kept); err != nil {
			return err
		}
		highest := b.Highest
		for number, id := range objects {
			if _, err := tx.KeepFormer(ctx, tenant(ctx), b.Kind, number, id); err != nil {
				return err
			}
			highest = max(highest, number)
		}
		if highest == 0 {
			return nil
		}
		return tx.KeepHighestFormer(ctx, tenant(ctx), b.Kind, highest)
	})
	return answer(kept), err
}

// wouldKeep counts what is there and what is not yet.
func (s *server) wouldKeep(ctx context.Context, q store.Q, kind string, objects map[int64]int64, kept *api.FormerKept) error {
	numbers := make([]int64, 0, len(objects))
	for n := range objects {
		numbers = append(numbers, n)
	}
	is, err := q.Former(ctx, tenant(ctx), kind, numbers...)
	for n, id := range objects {
		switch has, there := is[n]; {
		case !there:
			kept.Kept++
		case has == id:
			kept.There++
		default:
			kept.Taken++
		}
	}
	return err
}

// objectOf is the id of the object that a reference names.
func (s *server) objectOf(ctx context.Context, kind, ref string) (int64, error) {
	t := tenant(ctx)
	switch kind {
	case "version":
		return idOf(s.DB.VersionByFingerprint(ctx, t, ref))(func(v *certfleet.Version) int64 { return v.ID })
	case "certificate":
		return idOf(s.DB.CertificateByLabel(ctx, t, ref))(func(c *certfleet.Certificate) int64 { return c.ID })
	case "domain":
		return idOf(s.domain(ctx, s.DB.Q, ref))(func(d *certfleet.Domain) int64 { return d.ID })
	case "account":
		return idOf(s.DB.AccountByLabel(ctx, t, ref))(func(a *certfleet.Account) int64 { return a.ID })
	case "authority":
		return idOf(s.DB.AuthorityByLabel(ctx, t, ref))(func(a *certfleet.Authority) int64 { return a.ID })
	case "factory":
		return idOf(s.DB.FactoryByLabel(ctx, t, ref))(func(f *certfleet.Factory) int64 { return f.ID })
	case "key":
		return idOf(s.DB.KeyBySPKI(ctx, t, ref))(func(k *certfleet.Key) int64 { return k.ID })
	case "delegation":
		return compat.DelegationID(ref), nil
	}
	n, err := strconv.ParseInt(ref, 10, 64)
	if err != nil {
		return 0, &certfleet.Error{Kind: certfleet.Invalid, Msg: "a chain is named by a number", Advice: "give the number that follows from its content"}
	}
	return n, nil
}

// idOf takes the id of what was found.
func idOf[T any](v *T, err error) func(func(*T) int64) (int64, error) {
	return func(id func(*T) int64) (int64, error) {
		if err != nil {
			return 0, err
		}
		return id(v), nil
	}
}
