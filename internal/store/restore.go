package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/certfleet/certfleet"
)

// SettingRestoredAt holds when this store was last restored, in milliseconds
// since 1970 as decimal text; empty means never.
const SettingRestoredAt = "restored_at"

// idGap keeps ids from meaning two things: readers may hold ids of events, and
// targets generations of versions, that were given out after the backup was made.
const idGap = 1_000_000

// Restore brings the backup in file to a new place: a SQLite path or a
// postgres:// address. The destination is not touched before the backup was
// found whole and of a known release; one that holds anything is refused unless
// force is set, and a SQLite file is then kept beside as NAME.replaced, .replaced.2 and so on.
func Restore(ctx context.Context, file, into string, force bool) error {
	if err := CheckBackup(ctx, file); err != nil {
		return err
	}
	if IsPostgres(into) {
		return restorePostgres(ctx, file, into, force)
	}
	return restoreSQLite(ctx, file, into, force)
}

// CheckBackup reads a whole backup and reports whether it can be restored by
// this release.
func CheckBackup(ctx context.Context, file string) error {
	if _, err := os.Stat(file); err != nil {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: "open the backup", Advice: "name an existing backup file", Err: err}
	}
	db, err := openFile(file, "ro")
	if err != nil {
		return err
	}
	defer db.Close()
	found, err := Q{x: db}.strings(ctx, "PRAGMA integrity_check(5)")
	if err != nil {
		return explain(err, file)
	}
	if len(found) != 1 || found[0] != "ok" {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the backup is damaged", Advice: "use an older backup", Err: fmt.Errorf("integrity check: %q", found)}
	}
	d := &DB{Q: Q{x: db}, r: db}
	has, err := d.applied(ctx)
	if err != nil {
		return explain(err, file)
	}
	if len(has.steps) == 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the file is no backup of certfleet", Advice: "name a file that certfleet backup made"}
	}
	return d.onlyKnown(ctx)
}

// ready makes a copy of a backup at tmp as this release wants it: newest schema,
// everything that lives due at once.
func ready(ctx context.Context, file, tmp string) error {
	if err := vacuumInto(ctx, file, tmp); err != nil {
		return err
	}
	d, err := Open(ctx, tmp, Options{Fast: true})
	if err != nil {
		return err
	}
	err = d.Tx(ctx, time.Now(), func(tx *Tx) error {
		return errors.Join(tx.leap(ctx, "event"), tx.leap(ctx, "version"), tx.AfterRestore(ctx))
	})
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	return oneFile(ctx, tmp)
}

// leap leaves a gap in the ids of a SQLite table, one that never had a row too.
func (t *Tx) leap(ctx context.Context, table string) error {
	n, err := t.change(ctx, "UPDATE sqlite_sequence SET seq = seq + $1 WHERE name = $2", idGap, table)
	if err == nil && n == 0 {
		_, err = t.change(ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)", table, idGap)
	}
	return err
}

// AfterRestore makes everything that may have gone on since the backup be looked
// at again: live orders, renewal information and what edges serve are due now,
// and nobody holds anything. What was seen in a handshake before the backup is no
// proof any more, so no delivery counts as served until it is seen again.
func (t *Tx) AfterRestore(ctx context.Context) error {
	now := t.now.UnixMilli()
	for _, w := range []struct {
		sql  string
		args []any
	}{
		{"UPDATE orders SET due_at = $1, owner = '', lease_until = 0, rev = rev + 1 WHERE state IN ('wanted', 'open')", []any{now}},
		{"UPDATE delivery SET owner = '', lease_until = 0, rev = rev + 1 WHERE lease_until > 0", nil},
		{"UPDATE delivery SET state = 'applied', rev = rev + 1 WHERE state = 'served'", nil},
		{"UPDATE delivery SET due_at = $1, rev = rev + 1 WHERE state IN ('sent', 'applied')", []any{now}},
		{"UPDATE version SET ari_poll_at = $1, rev = rev + 1 WHERE ari_poll_at > 0", []any{now}},
	} {
		if _, err := t.change(ctx, w.sql, w.args...); err != nil {
			return err
		}
	}
	if err := t.SetSetting(ctx, SettingRestoredAt, fmt.Sprint(now)); err != nil {
		return err
	}
	t.Wake()
	return t.Event(ctx, certfleet.Event{Kind: "store.restored", Msg: "the database was restored from a backup"})
}

func restorePostgres(ctx context.Context, file, into string, force bool) error {
	dir, err := os.MkdirTemp("", "certfleet-restore")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, "backup.db")
	if err := ready(ctx, file, tmp); err != nil {
		return err
	}
	from, err := openFile(tmp, "ro")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := Open(ctx, into, Options{})
	if err != nil {
		return err
	}
	defer to.Close()
	if err := errors.Join(to.onlyKnown(ctx), mayReplace(ctx, to.Q, force)); err != nil {
		return err
	}
	return explain(fillPostgres(ctx, from, to), "")
}

func restoreSQLite(ctx context.Context, file, into string, force bool) error {
	if same, err := sameFile(file, into); err != nil || same {
		return orErr(err, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the backup and the destination are one file", Advice: "name another destination"})
	}
	if err := os.MkdirAll(filepath.Dir(into), 0o750); err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "make the folder of " + into, Advice: "choose a folder that this user may write", Err: err}
	}
	there := exists(into)
	if there {
		if err := mayReplaceFile(ctx, into, force); err != nil {
			return err
		}
	}
	return whole(into, func(tmp string) error {
		if err := ready(ctx, file, tmp); err != nil {
			return err
		}
		if there {
			return setAside(ctx, into)
		}
		return nil
	})
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func sameFile(a, b string) (bool, error) {
	sa, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	sb, err := os.Stat(b)
	return err == nil && os.SameFile(sa, sb), nil
}

// mayReplaceFile looks into what is at the destination before anything is done.
func mayReplaceFile(ctx context.Context, file string, force bool) error {
	db, err := openFile(file, "ro")
	if err != nil {
		return err
	}
	defer db.Close()
	q := Q{x: db}
	n, err := q.number(ctx, "SELECT count(*) FROM sqlite_master")
	if err == nil && n == 0 || force {
		return nil
	}
	if err != nil {
		return errOccupied
	}
	return mayReplace(ctx, q, force)
}

var errOccupied = &certfleet.Error{Kind: certfleet.Conflict, Msg: "the destination is not empty", Advice: "restore into an empty place, or use --force to replace what is there"}

// mayReplace refuses a store that holds what nobody could make again.
func mayReplace(ctx context.Context, q Q, force bool) error {
	if force {
		return nil
	}
	for _, name := range []string{"data_key", "key", "account", "target", "domain", "certificate", "token"} {
		n, err := q.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+name+" LIMIT 1) AS x")
		if err != nil || n > 0 {
			return errOccupied
		}
	}
	return nil
}

// setAside renames a database that nobody uses.
func setAside(ctx context.Context, file string) error {
	db, err := openFile(file, "rw")
	if err != nil {
		return err
	}
	if err := errors.Join(alone(ctx, db), db.Close()); err != nil {
		return err
	}
	return keepAside(file)
}

// keepAside renames a file to NAME.replaced, or to NAME.replaced.2 and so on when
// there is one already: it may hold the only copy of keys.
func keepAside(file string) error {
	aside := file + ".replaced"
	for n := 2; exists(aside); n++ {
		aside = fmt.Sprintf("%s.replaced.%d", file, n)
	}
	return os.Rename(file, aside)
}

// alone folds the log into the file and fails while another process has it open:
// whoever uses a database in WAL mode keeps it from being locked exclusively.
func alone(ctx context.Context, db *sql.DB) error {
	for _, q := range []string{"PRAGMA busy_timeout = 1000", "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "COMMIT", "PRAGMA journal_mode = DELETE"} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			if e := explain(err, ""); certfleet.KindOf(e) == certfleet.Unreachable {
				return &certfleet.Error{Kind: certfleet.Conflict, Msg: "the database is in use", Advice: "stop certfleet before restoring over its database", Err: err}
			}
			return nil // not a database at all: it is renamed as it is
		}
	}
	return nil
}
