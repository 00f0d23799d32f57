package keystore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// dataKeySize is 256 bits in bytes.
const dataKeySize = 32

// wrapAAD binds a wrapped data key to its use.
var wrapAAD = []byte("certfleet data key v1")

// dataKey is a data key ready for use.
type dataKey struct {
	id   int64
	aead cipher.AEAD
}

// sealer is the newest data key; the first one is made when there is none. Two
// nodes that race here make one each, and each opens what the other sealed.
func (k *Keystore) sealer(ctx context.Context) (*dataKey, error) {
	if dk := k.cachedSealer(); dk != nil {
		return dk, nil
	}
	k.loading.Lock()
	defer k.loading.Unlock()
	if dk := k.cachedSealer(); dk != nil {
		return dk, nil
	}
	all, err := k.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return k.make(ctx)
	}
	newest := all[0]
	for _, dk := range all {
		if dk.ID > newest.ID {
			newest = dk
		}
	}
	return k.unwrap(ctx, newest, true)
}

// opener is the data key called id.
func (k *Keystore) opener(ctx context.Context, id int64) (*dataKey, error) {
	if dk := k.cached(id); dk != nil {
		return dk, nil
	}
	k.loading.Lock()
	defer k.loading.Unlock()
	if dk := k.cached(id); dk != nil {
		return dk, nil
	}
	all, err := k.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, dk := range all {
		if dk.ID == id {
			return k.unwrap(ctx, dk, false)
		}
	}
	return nil, &certfleet.Error{Msg: fmt.Sprintf("a value is sealed under data key %d, which is not in this database", id),
		Advice: "restore the database whole from one backup"}
}

// NewDataKey makes another data key and seals under it from now on. Other nodes
// follow when they start next; what is sealed already stays readable.
func (k *Keystore) NewDataKey(ctx context.Context) (id int64, err error) {
	k.loading.Lock()
	defer k.loading.Unlock()
	dk, err := k.make(ctx)
	if err != nil {
		return 0, err
	}
	return dk.id, nil
}

// Check opens every data key, so that a wrong sealing key is noticed at the
// start and not in the middle of the night.
func (k *Keystore) Check(ctx context.Context) error {
	k.loading.Lock()
	defer k.loading.Unlock()
	all, err := k.list(ctx)
	if err != nil {
		return err
	}
	for _, dk := range all {
		if _, err := k.unwrap(ctx, dk, false); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keystore) list(ctx context.Context) ([]DataKey, error) {
	all, err := k.data.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list data keys: %w", err)
	}
	return all, nil
}

func (k *Keystore) make(ctx context.Context) (*dataKey, error) {
	plain := make([]byte, dataKeySize)
	defer clear(plain)
	rand.Read(plain) // never fails
	wrapped, err := k.keeper.Seal(ctx, plain, wrapAAD)
	if err != nil {
		return nil, fmt.Errorf("wrap a new data key: %w", err)
	}
	id, err := k.data.Add(ctx, DataKey{KeeperID: k.keeper.ID(), Wrapped: wrapped, CreatedAt: time.Now()})
	if err != nil {
		return nil, fmt.Errorf("store a new data key: %w", err)
	}
	return k.keep(id, plain, true)
}

func (k *Keystore) unwrap(ctx context.Context, stored DataKey, seals bool) (*dataKey, error) {
	plain, err := unwrap(ctx, stored, k.keeper)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return k.keep(stored.ID, plain, seals)
}

func unwrap(ctx context.Context, stored DataKey, keeper certfleet.Keeper) ([]byte, error) {
	if stored.KeeperID != keeper.ID() {
		return nil, &certfleet.Error{Kind: certfleet.Denied,
			Msg:    fmt.Sprintf("data key %d is sealed under sealing key %s, but the sealing key here is %s", stored.ID, stored.KeeperID, keeper.ID()),
			Advice: fmt.Sprintf("set sealing_key to the one whose id is %s instead of %s; after certfleet rekey reload the manager (SIGHUP) or restart it, and run rekey again if it was interrupted", stored.KeeperID, keeper.ID())}
	}
	plain, err := keeper.Open(ctx, stored.Wrapped, wrapAAD)
	if err != nil {
		return nil, fmt.Errorf("open data key %d: %w", stored.ID, err)
	}
	if len(plain) != dataKeySize {
		return nil, &certfleet.Error{Msg: fmt.Sprintf("data key %d has %d bytes, not %d", stored.ID, len(plain), dataKeySize), Advice: "restore the database from a backup"}
	}
	return plain, nil
}

// keep remembers an opened data key.
func (k *Keystore) keep(id int64, plain []byte, seals bool) (*dataKey, error) {
	block, err := aes.NewCipher(plain)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	dk := &dataKey{id: id, aead: aead}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened[id] = dk
	if seals {
		k.current = dk
	}
	return dk, nil
}

func (k *Keystore) cachedSealer() *dataKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.current
}

func (k *Keystore) cached(id int64) *dataKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.opened[id]
}
