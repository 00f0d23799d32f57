// Package file keeps the sealing key in a file that only its owner reads.
package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keeper"
)

// maxSize in bytes bounds what is read; a key and its comment are about 250.
const maxSize = 4096

const comment = `# certfleet sealing key. Everything secret in the database is sealed under it: without this file
# the private keys and accounts there are lost. Keep a copy where the database's backups are not.
`

// Create makes a new sealing key and writes it to path, mode 0600. An existing
// file is never overwritten, because what is sealed under its key would be lost.
func Create(path string) (*keeper.Key, error) {
	key, err := keeper.Generate()
	if err != nil {
		return nil, fmt.Errorf("make a sealing key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, &certfleet.Error{Kind: certfleet.Conflict, Msg: "there is a file at " + path + " already",
			Advice: "keep it if anything was ever sealed under it, or choose another path", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("create the sealing key: %w", err)
	}
	if err := write(f, key); err != nil {
		os.Remove(path) // nothing was sealed under it yet
		return nil, fmt.Errorf("write the sealing key: %w", err)
	}
	return key, syncFolder(filepath.Dir(path))
}

func write(f *os.File, key *keeper.Key) error {
	text := key.Text()
	defer text.Wipe()
	_, err := f.Write(append(append([]byte(comment), text...), '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder makes the new entry survive a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open reads the sealing key at path. A file that others may read is refused.
func Open(path string) (*keeper.Key, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "there is no sealing key at " + path,
			Advice: "run certfleet init to make one, or bring the file back from your backup if this database was in use before", Err: err}
	}
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Denied, Msg: "the sealing key at " + path + " cannot be read",
			Advice: "give it to the user that certfleet runs as, with chown", Err: err}
	}
	defer f.Close()
	if err := checkMode(f, path); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return nil, fmt.Errorf("read the sealing key: %w", err)
	}
	defer clear(text)
	key, err := keeper.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the sealing key at %s: %w", path, err)
	}
	return key, nil
}
