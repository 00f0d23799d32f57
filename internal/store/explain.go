package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// explain turns what a database says into words for an operator.
func explain(err error, where string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*certfleet.Error](err); ok {
		return err
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return explainSQLite(err, lite)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return explainPostgres(err, pg)
	}
	if conn, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: "the database server does not answer", Advice: "start PostgreSQL, or correct database in the configuration", Err: fmt.Errorf("connect to %s:%d: %w", conn.Config.Host, conn.Config.Port, errors.Unwrap(conn))}
	}
	return err
}

// The SQLite result codes that an operator can act on.
const (
	sqliteBusy       = 5
	sqliteReadOnly   = 8
	sqliteIOErr      = 10
	sqliteCorrupt    = 11
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteConstraint = 19
	sqliteNotADB     = 26
)

func explainSQLite(err error, lite *sqlite.Error) error {
	e := &certfleet.Error{Err: err}
	switch lite.Code() & 0xff {
	case sqliteBusy:
		e.Kind, e.Msg, e.Advice = certfleet.Unreachable, "the database is locked by another process", "end the other process, or try again in a moment"
	case sqliteReadOnly:
		e.Kind, e.Msg, e.Advice = certfleet.Denied, "the database cannot be written", "give this user write access to the file and its folder"
	case sqliteFull:
		e.Kind, e.Msg, e.Advice = certfleet.Unreachable, "the disk is full", "free space on the disk that holds the database; nothing was lost"
	case sqliteIOErr:
		e.Kind, e.Msg, e.Advice = certfleet.Unreachable, "the disk does not answer as it should", "look at the disk that holds the database"
	case sqliteCantOpen:
		e.Kind, e.Msg, e.Advice = certfleet.Invalid, "the database file cannot be opened", "check the path and its permissions"
	case sqliteCorrupt, sqliteNotADB:
		e.Kind, e.Msg, e.Advice = certfleet.Invalid, "the file is not a whole database", "restore the last backup with certfleet restore"
	case sqliteConstraint:
		e.Kind, e.Msg = certfleet.Conflict, "it exists already, or something else depends on it"
	default:
		return err
	}
	return e
}

func explainPostgres(err error, pg *pgconn.PgError) error {
	e := &certfleet.Error{Err: err}
	switch {
	case strings.HasPrefix(pg.Code, "23"):
		e.Kind, e.Msg = certfleet.Conflict, "it exists already, or something else depends on it"
	case strings.HasPrefix(pg.Code, "28"), pg.Code == "3D000":
		e.Kind, e.Msg, e.Advice = certfleet.Denied, "the database server refuses us", "check user, password and database name"
	case pg.Code == "42501":
		e.Kind, e.Msg, e.Advice = certfleet.Denied, "the database role lacks a right", "have the role own the database, or grant it CREATE on its schema and all rights on the tables there"
	case pg.Code == "25006":
		e.Kind, e.Msg, e.Advice = certfleet.Denied, "the database cannot be written", "connect to the primary, not to a standby"
	case strings.HasPrefix(pg.Code, "53"):
		e.Kind, e.Msg, e.Advice = certfleet.Unreachable, "the database server is out of room", "free disk space or connections on the database server"
	default:
		return err
	}
	return e
}

// Trouble reports an error of the database itself, not of what it was told:
// whatever it stopped may be done when the database answers again.
func Trouble(err error) bool {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code()&0xff != sqliteConstraint
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return !strings.HasPrefix(pg.Code, "23")
	}
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}
