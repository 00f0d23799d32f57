package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/keeper/env"
	"github.com/certfleet/certfleet/internal/keeper/file"
	"github.com/certfleet/certfleet/internal/keystore"
	"github.com/certfleet/certfleet/internal/store"
)

// Rekeyed is what a change of the sealing key did.
type Rekeyed struct {
	From      string `json:"from"` // the ids of the keys
	To        string `json:"to"`
	Rewrapped int    `json:"rewrapped"`
	// Key is where the new key is now, Old where the old one is kept; Old is empty
	// when the operator has to change the configuration himself.
	Key string `json:"key"`
	Old string `json:"old,omitempty"`
}

// Rekey puts every data key under a new sealing key. A new key in a file is made
// beside the old one and takes its place at the end; wanted names another one
// instead. It changes no row but those few, and a node that runs goes on. When
// it was interrupted, running it again goes on where it was.
func Rekey(ctx context.Context, c *config.Config, wanted config.Reference, said func(done, all int)) (*Rekeyed, error) {
	from, err := OpenKeeper(c)
	if err != nil {
		return nil, err
	}
	path, swaps := besideOf(c, wanted)
	to, err := newKeeper(wanted, path)
	if err != nil {
		return nil, err
	}
	if from.ID() == to.ID() {
		return nil, &certfleet.Error{Kind: certfleet.Conflict, Msg: "the new sealing key is the one in use", Advice: "name another one, or leave out --new to have one made"}
	}
	out := &Rekeyed{From: from.ID(), To: to.ID(), Key: string(wanted)}
	if out.Rewrapped, err = rewrapAll(ctx, c, from, to, said); err != nil || !swaps {
		return out, err
	}
	_, out.Key = c.KeyReference().Split()
	out.Old = fmt.Sprintf("%s.%s.old", out.Key, from.ID())
	return out, swap(path, out.Key, out.Old)
}

// besideOf is where the new key is made when it is to replace the old one's file.
func besideOf(c *config.Config, wanted config.Reference) (path string, swaps bool) {
	scheme, rest := c.KeyReference().Split()
	if wanted != "" || scheme != "file" {
		return "", false
	}
	return rest + ".new", true
}

func newKeeper(wanted config.Reference, path string) (*keeper.Key, error) {
	scheme, rest := wanted.Split()
	switch {
	case scheme == "env":
		return env.Open(rest)
	case scheme == "file":
		path = rest
	case path == "":
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the sealing key is not in a file, so it cannot be replaced from here", Advice: "name the new one with --new file:PATH or --new env:NAME"}
	}
	key, err := file.Open(path)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return file.Create(path)
	}
	return key, err
}

// rewrapAll goes over the data keys until none is under the old key any more,
// because a node that runs may make another one meanwhile.
func rewrapAll(ctx context.Context, c *config.Config, from, to certfleet.Keeper, said func(done, all int)) (int, error) {
	where, err := c.ResolveDatabase()
	if err != nil {
		return 0, err
	}
	db, err := store.Open(ctx, string(where), store.Options{})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	ctx = store.WithActor(ctx, "user:rekey")
	n := 0
	for {
		rows, err := db.DataKeys(ctx)
		if err != nil {
			return n, err
		}
		more := false
		for _, row := range rows {
			if row.KeeperID == to.ID() {
				continue
			}
			if err := rewrap(ctx, db, row, from, to); err != nil {
				return n, err
			}
			n, more = n+1, true
			said(n, len(rows))
		}
		if !more {
			return n, nil
		}
	}
}

func rewrap(ctx context.Context, db *store.DB, row store.DataKeyRow, from, to certfleet.Keeper) error {
	again, err := keystore.Rewrap(ctx, keystore.DataKey(row), from, to)
	if err != nil {
		return err
	}
	return db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if err := tx.RewrapDataKey(ctx, row.ID, from.ID(), to.ID(), again.Wrapped); err != nil {
			return err
		}
		return tx.Event(ctx, certfleet.Event{Kind: "sealing_key.changed", Msg: fmt.Sprintf("data key %d is sealed under %s instead of %s", row.ID, to.ID(), from.ID())})
	})
}

// swap gives the new key the old one's name in one rename; the old one is kept
// under another name before that, so that at no moment either is missing.
func swap(fresh, path, old string) error {
	if err := os.Link(path, old); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep the old sealing key as %s: %w", old, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("put the new sealing key in place: %w", err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
