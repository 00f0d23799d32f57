package keystore

import (
	"context"

	"github.com/certfleet/certfleet"
)

// Replace takes keeper in place of the sealing key in use, after it opened every
// data key, and reports whether it is another one. When it does not open them all,
// the one in use stays. What was opened stays open: Rewrap changes no data key.
func (k *Keystore) Replace(ctx context.Context, keeper certfleet.Keeper) (changed bool, err error) {
	k.loading.Lock()
	defer k.loading.Unlock()
	if keeper.ID() == k.keeper.ID() {
		return false, nil
	}
	all, err := k.list(ctx)
	if err != nil {
		return false, err
	}
	for _, dk := range all {
		plain, err := unwrap(ctx, dk, keeper)
		if err != nil {
			return false, err
		}
		clear(plain)
	}
	k.keeper = keeper
	return true, nil
}
