package keystore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/certfleet/certfleet"
)

// Rewrap opens a data key with one sealing key and wraps it under another. The
// caller stores the answer over the row. One that is wrapped under to already
// comes back as it is, so that an interrupted rekey is finished by running it
// again. What it returns has been opened once, as proof.
func Rewrap(ctx context.Context, dk DataKey, from, to certfleet.Keeper) (DataKey, error) {
	if dk.KeeperID == to.ID() {
		return dk, nil
	}
	plain, err := unwrap(ctx, dk, from)
	if err != nil {
		return DataKey{}, err
	}
	defer clear(plain)
	dk.KeeperID = to.ID()
	if dk.Wrapped, err = to.Seal(ctx, plain, wrapAAD); err != nil {
		return DataKey{}, fmt.Errorf("wrap data key %d under sealing key %s: %w", dk.ID, to.ID(), err)
	}
	again, err := unwrap(ctx, dk, to)
	if err != nil {
		return DataKey{}, err
	}
	defer clear(again)
	if !bytes.Equal(again, plain) {
		return DataKey{}, fmt.Errorf("wrap data key %d under sealing key %s: it opens to something else", dk.ID, to.ID())
	}
	return dk, nil
}
