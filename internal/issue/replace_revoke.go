package issue

import (
	"context"
	"errors"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/store"
)

const (
	revokePage = 20          // versions that are revoked before the others have a turn
	revokeRest = time.Minute // how long a version rests whose CA had trouble of its own
)

// revokable are the states from which a version of a replacement is revoked: when
// another took its place, and once its time has come from any.
func revokable(p *certfleet.Replacement, now time.Time) []certfleet.ItemState {
	if !p.Spec.Overdue(now) {
		return []certfleet.ItemState{certfleet.ItemReplaced}
	}
	return []certfleet.ItemState{certfleet.ItemReplaced, certfleet.ItemAsked, certfleet.ItemWanted, certfleet.ItemReleased, certfleet.ItemSkipped}
}

// revokeSome revokes versions that are out of use, or whose time has come. One
// that the CA will not revoke is left aside, with what it said.
func (r *Room) revokeSome(ctx context.Context, p *certfleet.Replacement) (int, error) {
	if !p.Spec.Revoke {
		return 0, nil
	}
	now := time.Now()
	down := map[int64]bool{} // authorities with trouble of their own
	did := 0
	for _, from := range revokable(p, now) {
		since := now.Add(-revokeRest)
		if from == certfleet.ItemSkipped {
			since = now // what is said of these is why they were left aside
		}
		list, err := r.DB.RestedItems(ctx, p.ID, from, since, revokePage)
		if err != nil {
			return did, err
		}
		for n := range list {
			ok, err := r.revokeItem(ctx, p, &list[n], down)
			if err != nil {
				return did, err
			}
			if ok {
				did++
			}
		}
		if len(list) > 0 {
			return did, nil
		}
	}
	return did, nil
}

// revokeItem revokes one version, unless its CA has trouble of its own now.
func (r *Room) revokeItem(ctx context.Context, p *certfleet.Replacement, i *certfleet.ReplacementItem, down map[int64]bool) (bool, error) {
	v, err := r.DB.Version(ctx, i.VersionID)
	if err != nil || down[v.AuthorityID] {
		return false, err
	}
	from := i.State
	err = r.Revoke(ctx, v.ID, p.Spec.Reason)
	switch {
	case err != nil && passes(err):
		down[v.AuthorityID], i.Problem = true, err.Error()
	case err != nil:
		i.State, i.Problem = certfleet.ItemStuck, err.Error()
	case from == certfleet.ItemReplaced || v.ReplacedBy != 0:
		i.State, i.Problem = certfleet.ItemRevoked, ""
	default:
		i.State, i.Problem = certfleet.ItemOverdue, "its time had come before another version took its place"
	}
	err = r.DB.Tx(context.WithoutCancel(ctx), time.Now(), func(tx *store.Tx) error { return tx.SaveReplacementItem(ctx, i, from) })
	if errors.Is(err, store.ErrStale) {
		return true, nil // it was replaced in this very moment; it is revoked, and its next turn finds that
	}
	return i.State != from, err
}

// passes reports whether a refusal says nothing about what was asked for: the CA
// is away, has trouble of its own, or asks for patience.
func passes(err error) bool {
	if p, ok := errors.AsType[*acme.Problem](err); ok {
		return answerOf(p).Limits() || answerOf(p).Passes()
	}
	kind := certfleet.KindOf(err)
	return kind == certfleet.Unreachable || kind == certfleet.Limited || errors.Is(err, store.ErrStale) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
