package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/certfleet/certfleet"
)

// Backup writes the store as it is at one moment into one SQLite file, while it
// runs: mode 0600, on disk before it appears under its name. It says after each
// table how many rows it has; progress may be nil. Keys in it stay sealed.
func (d *DB) Backup(ctx context.Context, file string, progress func(table string, rows int64)) error {
	if progress == nil {
		progress = func(string, int64) {}
	}
	return whole(file, func(tmp string) error {
		if d.pg {
			return d.copyOut(ctx, tmp, progress)
		}
		from, err := d.File(ctx)
		if err != nil {
			return err
		}
		if same, err := sameFile(from, file); err != nil || same {
			return orErr(err, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the backup would replace the database itself", Advice: "name another file"})
		}
		if err := vacuumInto(ctx, from, tmp); err != nil {
			return err
		}
		return count(ctx, tmp, progress)
	})
}

// whole lets fill write a temporary file beside file, and gives it its name when
// all of it is on disk.
func whole(file string, fill func(tmp string) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "make a file beside " + file, Advice: "choose a folder that exists and that this user may write", Err: err}
	}
	tmp := f.Name()
	defer removeAll(tmp)
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return explain(err, "")
	}
	return putInPlace(tmp, file)
}

// putInPlace gives a finished file its name, durably. A log that an older file
// of that name left behind would be read as the new one's.
func putInPlace(tmp, file string) error {
	if err := syncFile(tmp); err != nil {
		return err
	}
	removeTails(file)
	if err := os.Rename(tmp, file); err != nil {
		return err
	}
	return syncFile(filepath.Dir(file))
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// removeAll removes a database file and what SQLite keeps beside it.
func removeAll(file string) {
	os.Remove(file) // gone already when it got its name
	removeTails(file)
}

func removeTails(file string) {
	for _, tail := range []string{"-wal", "-shm", "-journal"} {
		os.Remove(file + tail) // what is not there needs no removing
	}
}

// File is where a SQLite store lies, empty for PostgreSQL.
func (d *DB) File(ctx context.Context) (string, error) {
	if d.pg {
		return "", nil
	}
	list, err := d.strings(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'")
	if err != nil {
		return "", fmt.Errorf("ask where the database lies: %w", err)
	}
	return strings.Join(list, ""), nil
}

// openFile opens a SQLite file as it is: no schema, no foreign keys. mode is ro or rw.
func openFile(file, mode string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode="+mode+"&_pragma=busy_timeout(10000)")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// vacuumInto copies a SQLite file as it is at one moment into another, empty one.
func vacuumInto(ctx context.Context, from, to string) error {
	db, err := openFile(from, "ro")
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "VACUUM INTO $1", to)
	return err
}

// count tells progress how many rows a backup has.
func count(ctx context.Context, file string, progress func(string, int64)) error {
	db, err := openFile(file, "ro")
	if err != nil {
		return err
	}
	defer db.Close()
	names, err := tables(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		n, err := Q{x: db}.number(ctx, "SELECT count(*) FROM "+name)
		if err != nil {
			return fmt.Errorf("count %s: %w", name, err)
		}
		progress(name, n)
	}
	return nil
}
