package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/store"
)

// ageHeader begins every file that age encrypted.
const ageHeader = "age-encryption.org/v1"

// Backup writes the database of a configuration into one file, while a node may
// run. With encrypt the file is an age file that the sealing key opens.
func Backup(ctx context.Context, c *config.Config, path string, encrypt bool, progress func(table string, rows int64)) error {
	if _, err := os.Lstat(path); err == nil {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: "there is a file at " + path + " already", Advice: "choose another name, or remove it first"}
	}
	where, err := c.ResolveDatabase()
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, string(where), store.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	if !encrypt {
		return db.Backup(ctx, path, progress)
	}
	key, err := OpenKeeper(c)
	if err != nil {
		return err
	}
	return encrypted(path, key, func(plain string) error { return db.Backup(ctx, plain, progress) })
}

// encrypted lets fill write a file in a folder of our own, and encrypts it to path.
func encrypted(path string, key *keeper.Key, fill func(plain string) error) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".certfleet-backup-") // mode 0700
	if err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "make a folder beside " + path, Advice: "choose a folder that exists and that this user may write", Err: err}
	}
	defer os.RemoveAll(dir)
	plain, sealed := filepath.Join(dir, "plain.db"), filepath.Join(dir, "sealed.age")
	if err := fill(plain); err != nil {
		return err
	}
	if err := encrypt(plain, sealed, key); err != nil {
		return fmt.Errorf("encrypt the backup: %w", err)
	}
	if err := os.Link(sealed, path); errors.Is(err, fs.ErrExist) {
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: "there is a file at " + path + " already", Advice: "choose another name, or remove it first"}
	} else if err != nil {
		return fmt.Errorf("name the backup: %w", err)
	}
	return nil
}

func encrypt(plain, sealed string, key *keeper.Key) error {
	to, err := key.BackupRecipient()
	if err != nil {
		return err
	}
	in, err := os.Open(plain)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(sealed, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w, err := age.Encrypt(out, to)
	if err != nil {
		return errors.Join(err, out.Close())
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, w.Close(), out.Sync(), out.Close())
}

// RestoreOptions say where a backup goes.
type RestoreOptions struct {
	Into  string // a SQLite file or postgres:// address; empty is the configured database
	Force bool   // replace what is there
	Adopt bool   // ask the CAs afterwards, see AdoptIssued
}

// Restore brings a backup back, one that is encrypted too, and makes everything
// due that may have gone on since: see store.Restore.
func Restore(ctx context.Context, c *config.Config, path string, o RestoreOptions) (into string, err error) {
	if into = o.Into; into == "" {
		where, err := c.ResolveDatabase()
		if err != nil {
			return "", err
		}
		into = string(where)
	}
	plain, done, err := decrypted(c, path)
	if err != nil {
		return "", err
	}
	defer done()
	return config.Database(into).String(), store.Restore(ctx, plain, into, o.Force)
}

// decrypted is the backup as a database file; done takes a copy away.
func decrypted(c *config.Config, path string) (plain string, done func(), err error) {
	in, err := os.Open(path)
	if err != nil {
		return "", nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "open the backup " + path, Advice: "name a file that certfleet backup made", Err: err}
	}
	defer in.Close()
	head := make([]byte, len(ageHeader))
	if _, err := io.ReadFull(in, head); err != nil || !bytes.Equal(head, []byte(ageHeader)) {
		return path, func() {}, nil // store.Restore says what is wrong with it
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return "", nil, err
	}
	key, err := OpenKeeper(c)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "certfleet-restore-")
	if err != nil {
		return "", nil, err
	}
	done = func() { os.RemoveAll(dir) }
	plain = filepath.Join(dir, "backup.db")
	if err := decrypt(in, plain, key); err != nil {
		done()
		return "", nil, err
	}
	return plain, done, nil
}

func decrypt(in io.Reader, plain string, key *keeper.Key) error {
	id, err := key.BackupIdentity()
	if err != nil {
		return err
	}
	r, err := age.Decrypt(in, id)
	if err != nil {
		return &certfleet.Error{Kind: certfleet.Denied, Msg: "the backup was not encrypted to sealing key " + key.ID(), Advice: "set sealing_key to the one that was in use when it was made; after a rekey the earlier one lies beside the new one and ends in .old", Err: err}
	}
	out, err := os.OpenFile(plain, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}
