package issue

import (
	"cmp"
	"context"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// usableKey reports whether the key that an order has may still be used: one that
// was compromised meanwhile is given up, and the order gets another.
func (r *Room) usableKey(ctx context.Context, j *job) (*certfleet.Key, error) {
	key, err := r.DB.Key(ctx, j.order.KeyID)
	if err != nil || key.CompromisedAt.IsZero() {
		return key, err
	}
	j.order.KeyID = 0
	if err := r.makeKey(ctx, j); err != nil {
		return nil, err
	}
	return r.DB.Key(ctx, j.order.KeyID)
}

// makeKey chooses the key of the order, by the policy's key cycle, and commits it
// with the order. Of two orders that begin a shared key at once one is too late:
// its step is repeated, and finds the other's.
func (r *Room) makeKey(ctx context.Context, j *job) error {
	typ := cmp.Or(j.terms.KeyType, certfleet.P256)
	share := plan.Share(j.terms.KeyCycle, j.now, j.order.AccountID, typ)
	ask := plan.KeyAsk{Cycle: j.terms.KeyCycle, Type: typ, Keep: j.terms.ReuseKey, Now: j.now}
	if ask.Keep && j.terms.KeyType == "" {
		ask.Type = "" // a key that was brought along is kept whatever it is
	}
	var err error
	if ask.Previous, err = r.keyBefore(ctx, j); err != nil {
		return err
	}
	if ask.Shared, err = r.sharedKey(ctx, j.order.Tenant, share); err != nil {
		return err
	}
	if k := plan.PickKey(ask); k != nil {
		j.order.KeyID = k.ID
		return r.commit(ctx, j, nil)
	}
	key, err := r.Keys.SealKey(ctx, j.order.Tenant, "certificate", typ)
	if err != nil {
		return err
	}
	key.OrderID, key.ReplacesKeyID = j.order.ID, idOf(ask.Previous.Key)
	return r.commit(ctx, j, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddKey(ctx, key); err != nil {
			return err
		}
		j.order.KeyID = key.ID
		if share == "" {
			return nil
		}
		return tx.ShareKey(ctx, j.order.Tenant, share, key.ID, idOf(ask.Shared.Key))
	})
}

func idOf(k *certfleet.Key) int64 {
	if k == nil {
		return 0
	}
	return k.ID
}

// keyBefore is the key of the version in use, if it is here.
func (r *Room) keyBefore(ctx context.Context, j *job) (plan.Held, error) {
	if j.cert.VersionID == 0 {
		return plan.Held{}, nil
	}
	v, err := r.DB.Version(ctx, j.cert.VersionID)
	if err != nil || v.KeyID == 0 {
		return plan.Held{}, ignoreNotFound(err)
	}
	k, err := r.DB.Key(ctx, v.KeyID)
	return r.held(ctx, k, err)
}

func (r *Room) sharedKey(ctx context.Context, tenant int64, share string) (plan.Held, error) {
	if share == "" {
		return plan.Held{}, nil
	}
	k, err := r.DB.SharedKey(ctx, tenant, share)
	return r.held(ctx, k, err)
}

func (r *Room) held(ctx context.Context, k *certfleet.Key, err error) (plan.Held, error) {
	if err != nil {
		return plan.Held{}, ignoreNotFound(err)
	}
	revoked, err := r.DB.KeyRevoked(ctx, k.ID)
	return plan.Held{Key: k, Revoked: revoked}, err
}
