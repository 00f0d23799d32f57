package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keystore/stored"
	"github.com/certfleet/certfleet/internal/store"
)

// foreignDatabase refuses a database that is in use when its sealing key is not
// here: this is a second node, or the key was lost or is another's. A new key would
// open nothing of what was sealed, and part the nodes where nothing was yet.
func foreignDatabase(ctx context.Context, c *config.Config) error {
	scheme, path := c.KeyReference().Split()
	key, kerr := OpenKeeper(c)
	if kerr != nil && (scheme != "file" || certfleet.KindOf(kerr) != certfleet.NotFound) {
		return nil // what is wrong with it is told where it is used
	}
	where, err := c.ResolveDatabase()
	if err != nil {
		return err
	}
	if !where.Postgres() {
		if _, err := os.Stat(string(where)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	db, err := store.Open(ctx, string(where), store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	if kerr == nil {
		return stored.New(key, db).Check(ctx)
	}
	return keyMissing(ctx, db, path)
}

// keyMissing says that the database's sealing key is not at path, if it has one.
func keyMissing(ctx context.Context, db *store.DB, path string) error {
	keys, err := db.DataKeys(ctx)
	if err != nil {
		return err
	}
	bring := fmt.Sprintf("copy %s from the state folder of the node that was first, or bring it back from your backup", filepath.Base(path))
	if len(keys) > 0 {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("the database holds keys that are sealed under sealing key %s, and there is none at %s", keys[0].KeeperID, path),
			Advice: bring + "; then run certfleet init again"}
	}
	tokens, err := db.Tokens(ctx, certfleet.DefaultTenant)
	if err != nil || len(tokens) == 0 {
		return err
	}
	return &certfleet.Error{Kind: certfleet.NotFound, Msg: "the database was set up by another node, and its sealing key is not at " + path,
		Advice: bring + "; where the key is lost, begin with an empty database, because nothing is sealed in this one"}
}
