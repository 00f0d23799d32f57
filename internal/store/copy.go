package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// copyOut copies a PostgreSQL store, as one snapshot sees it, into a new SQLite file.
func (d *DB) copyOut(ctx context.Context, file string, progress func(string, int64)) error {
	if err := d.onlyKnown(ctx); err != nil {
		return err
	}
	from, err := d.r.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer from.Rollback()
	if err := layOut(ctx, file); err != nil {
		return err
	}
	to, err := openFile(file, "rw")
	if err != nil {
		return err
	}
	return errors.Join(fillSQLite(ctx, from, to, progress), to.Close())
}

// onlyKnown refuses a store with steps of a newer release: a copy by column
// would lose what this one does not know of.
func (d *DB) onlyKnown(ctx context.Context) error {
	steps, err := d.steps()
	if err != nil {
		return err
	}
	has, err := d.applied(ctx)
	if err != nil {
		return err
	}
	if s, ok := has.stranger(steps); ok {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the database is of the newer release " + s.madeBy, Advice: "use release " + s.madeBy + " for this"}
	}
	return nil
}

// layOut makes a store without rows in an empty file, and leaves nothing beside it.
func layOut(ctx context.Context, file string) error {
	d, err := Open(ctx, file, Options{Fast: true})
	if err != nil {
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	return oneFile(ctx, file)
}

// oneFile folds the write-ahead log into the file itself.
func oneFile(ctx context.Context, file string) error {
	db, err := openFile(file, "rw")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
	return errors.Join(err, db.Close())
}

// fillSQLite copies all tables in one transaction and checks that every
// reference leads somewhere.
func fillSQLite(ctx context.Context, from execer, to *sql.DB, progress func(string, int64)) error {
	names, err := tables(ctx)
	if err != nil {
		return err
	}
	tx, err := to.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, name := range names {
		n, err := fillTable(ctx, from, tx, name)
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		progress(name, n)
	}
	lost, err := Q{x: tx}.strings(ctx, `SELECT "table" FROM pragma_foreign_key_check`)
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		return fmt.Errorf("%d rows refer to what is not there, the first in %s", len(lost), lost[0])
	}
	return tx.Commit()
}

func fillTable(ctx context.Context, from execer, to *sql.Tx, name string) (int64, error) {
	cols, err := columns(ctx, to, name)
	if err != nil {
		return 0, err
	}
	if _, err := to.ExecContext(ctx, "DELETE FROM "+name); err != nil { // the schema's own first rows
		return 0, err
	}
	add, err := to.PrepareContext(ctx, "INSERT INTO "+name+" ("+strings.Join(cols, ", ")+") VALUES ("+marks(len(cols))+")")
	if err != nil {
		return 0, err
	}
	defer add.Close()
	return eachRow(ctx, from, name, cols, func(values []any) error {
		_, err := add.ExecContext(ctx, values...)
		return err
	})
}

// columns are the names of a table's columns in a SQLite database.
func columns(ctx context.Context, x execer, table string) ([]string, error) {
	return Q{x: x}.strings(ctx, "SELECT name FROM pragma_table_info($1) ORDER BY cid", table)
}

// eachRow hands on every row of a table, oldest first, since rows refer to older ones.
func eachRow(ctx context.Context, from execer, table string, cols []string, each func([]any) error) (n int64, err error) {
	rows, err := from.QueryContext(ctx, "SELECT "+strings.Join(cols, ", ")+" FROM "+table+" ORDER BY 1")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		values := make([]any, len(cols))
		into := make([]any, len(cols))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		tidy(cols, values)
		if err := each(values); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// tidy clears the transaction an event was written in: the number means nothing
// in another database, and zero comes before all of its own. It also keeps
// empty bytes from being taken for NULL.
func tidy(cols []string, values []any) {
	for i, c := range cols {
		if b, ok := values[i].([]byte); ok && b == nil {
			values[i] = []byte{}
		}
		if c == "xact" {
			values[i] = int64(0)
		}
	}
}

// fillPostgres replaces all rows of a PostgreSQL store with those of a SQLite
// file, in one transaction.
func fillPostgres(ctx context.Context, from *sql.DB, to *DB) error {
	names, err := tables(ctx)
	if err != nil {
		return err
	}
	conn, err := to.w.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = '10s'"); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "TRUNCATE "+strings.Join(names, ", ")); err != nil {
		return err
	}
	for _, name := range names {
		if err := pour(ctx, from, conn, name); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		if err := continueIDs(ctx, from, tx, name); err != nil {
			return fmt.Errorf("continue the ids of %s: %w", name, err)
		}
	}
	// The restore itself happened here and now: who follows events shall see it.
	if _, err := tx.ExecContext(ctx, "UPDATE event SET xact = DEFAULT WHERE id = (SELECT max(id) FROM event)"); err != nil {
		return err
	}
	return tx.Commit()
}

// pour copies one table by COPY, in the transaction that is open on conn.
func pour(ctx context.Context, from *sql.DB, conn *sql.Conn, name string) error {
	cols, err := columns(ctx, from, name)
	if err != nil {
		return err
	}
	rows := make(chan []any, 64)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	read := make(chan error, 1)
	go func() { // ends with the rows, or with ctx when COPY fails
		defer close(rows)
		_, err := eachRow(ctx, from, name, cols, func(values []any) error {
			select {
			case rows <- values:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		read <- err
	}()
	err = conn.Raw(func(c any) error {
		pg := c.(*stdlib.Conn).Conn()
		_, err := pg.CopyFrom(ctx, pgx.Identifier{name}, cols, pgx.CopyFromFunc(func() ([]any, error) {
			values, ok := <-rows
			if ok {
				return values, nil
			}
			return nil, nil
		}))
		return err
	})
	cancelled := err != nil
	if cancelled {
		cancel()
	}
	if rerr := <-read; rerr != nil && !cancelled {
		return rerr
	}
	return err
}

// continueIDs lets new rows go on behind the ids that were ever given out.
func continueIDs(ctx context.Context, from *sql.DB, tx *sql.Tx, name string) error {
	n, err := Q{x: from}.number(ctx, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = $1), 0)", name)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, "SELECT setval(pg_get_serial_sequence($1, 'id'), $2)", name, n)
	return err
}
