// Package store holds the only SQL of the house: SQLite by default, PostgreSQL
// for many nodes, the same query text for both.
//
// Times are integers that come from Go, so that tests own them. Nothing in here
// speaks to a network while a write transaction is open. Rows carry a revision,
// and a write repeats the revision it was read at, so that a late node changes
// nothing.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
)

// DB is an open store. All reads are methods of its Q, all writes of a Tx.
type DB struct {
	Q
	w         *sql.DB
	r         *sql.DB
	writer    *writer   // SQLite only
	reads     *prepared // SQLite only
	pg        bool
	where     string // PostgreSQL only
	readOnly  bool
	lease     time.Duration
	committed func()
	mu        sync.Mutex
	wakes     []chan struct{} // guarded by mu

	counting   sync.Mutex // guards the two below
	counted    *Gauges
	countAgain time.Time
}

// Options for Open.
type Options struct {
	ReadOnly bool
	// Fast gives up durability on a power cut. Only simulations may.
	Fast bool
	// Readers is how many connections read at a time; 0 means 4.
	Readers int
	// Lease is how long a claim holds without being renewed; 0 means two minutes.
	Lease time.Duration
	// Committed is called after each commit; crash tests end the process there.
	Committed func()
}

// Open opens the store that where names (a file, or postgres://...) and brings
// its schema up to this release. It refuses a store that a newer release has
// made unreadable for this one.
func Open(ctx context.Context, where string, o Options) (*DB, error) {
	d := &DB{pg: IsPostgres(where), readOnly: o.ReadOnly, lease: cmp.Or(o.Lease, 2*time.Minute), committed: o.Committed}
	if o.Readers == 0 {
		o.Readers = 4
	}
	var err error
	if d.pg {
		err = d.openPostgres(where, o)
	} else {
		err = d.openSQLite(where, o)
	}
	if err != nil {
		return nil, err
	}
	d.Q = Q{x: d.r, pg: d.pg}
	if !d.pg {
		d.writer, d.reads = newWriter(d.w), newPrepared(d.r)
		d.Q.x = d.reads
	}
	if err := d.prepare(ctx); err != nil {
		d.Close()
		return nil, explain(err, where)
	}
	return d, nil
}

// IsPostgres reports whether where names a PostgreSQL server.
func IsPostgres(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// ours makes a database file that nobody else may read; SQLite gives its other
// files the same mode. One that is there keeps its mode, and what else stands in
// the way SQLite says itself.
func ours(file string) {
	if f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
		f.Close()
	}
}

func (d *DB) openSQLite(file string, o Options) error {
	if o.ReadOnly {
		if _, err := os.Stat(file); err != nil {
			return &certfleet.Error{Kind: certfleet.NotFound, Msg: "open " + file, Advice: "name an existing database file", Err: err}
		}
	} else if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "make the folder of " + file, Advice: "choose a folder that this user may write", Err: err}
	} else {
		ours(file)
	}
	sync := "FULL"
	if o.Fast {
		sync = "OFF"
	}
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() + "?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=cache_size(-8000)"
	// Savepoints keep what they would undo in memory: in a file it took a tenth of
	// the CPU of an order.
	writer := dsn + "&_pragma=journal_mode(WAL)&_pragma=synchronous(" + sync + ")&_pragma=temp_store(2)&_txlock=immediate"
	if o.ReadOnly {
		dsn += "&mode=ro"
		writer = dsn
	}
	if o.Fast { // more memory, and the file is written less often
		writer += "&_pragma=cache_size(-64000)&_pragma=wal_autocheckpoint(16000)"
	}
	var err error
	if d.w, err = sql.Open("sqlite", writer); err != nil {
		return err
	}
	d.w.SetMaxOpenConns(2) // one is held for transactions, one is for migrations and backups
	if d.r, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return err
	}
	d.r.SetMaxOpenConns(o.Readers)
	d.r.SetMaxIdleConns(o.Readers)
	return nil
}

// noSleepers has the server end a transaction in which nothing happens: a node
// that is stopped in one would hold its rows for as long as it sleeps.
func noSleepers(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, "SET idle_in_transaction_session_timeout = '15s'")
	return err
}

func (d *DB) openPostgres(where string, o Options) error {
	c, err := pgx.ParseConfig(where)
	if err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the database address cannot be read", Advice: "write postgres://user@host:5432/name", Err: err}
	}
	c.DialFunc = dialPostgres
	db := stdlib.OpenDB(*c, stdlib.OptionAfterConnect(noSleepers))
	db.SetMaxOpenConns(o.Readers * 4)
	db.SetMaxIdleConns(o.Readers * 4) // a connection costs the server a process, and its statements are prepared anew
	db.SetConnMaxIdleTime(5 * time.Minute)
	d.w, d.r, d.where = db, db, where
	return nil
}

// Pool opens connections to the same PostgreSQL for what may be lost with the
// server: their commits do not wait for its disk.
func (d *DB) Pool(ctx context.Context, most int32) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(d.where)
	if err != nil {
		return nil, errors.New("the database address cannot be read") // the cause would name the password
	}
	c.MaxConns, c.AfterConnect = most, noSleepers
	c.ConnConfig.DialFunc = dialPostgres
	c.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	return pgxpool.NewWithConfig(ctx, c)
}

// prepare migrates, or only checks when the store is read-only.
func (d *DB) prepare(ctx context.Context) error {
	if err := d.firstPing(ctx); err != nil {
		return err
	}
	if !d.pg && !d.readOnly {
		if _, err := d.r.ExecContext(ctx, "SELECT 1"); err != nil {
			return err
		}
	}
	return d.migrate(ctx)
}

// patience is how long a SQLite file may be locked by somebody else.
const patience = 10 * time.Second

// firstPing connects. SQLite does not wait for its lock when two processes turn
// a new file to write-ahead logging at once, so we do.
func (d *DB) firstPing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := d.w.PingContext(ctx)
		lite, ok := errors.AsType[*sqlite.Error](err)
		if !ok || lite.Code()&0xff != sqliteBusy {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close closes the store.
func (d *DB) Close() error {
	if d.w == d.r {
		return d.w.Close()
	}
	return errors.Join(d.reads.close(), d.writer.close(), d.r.Close(), d.w.Close())
}

// Postgres reports whether several nodes may share this store over a network.
func (d *DB) Postgres() bool { return d.pg }

// Lease is how long a claim holds: then whoever holds it is taken for dead.
func (d *DB) Lease() time.Duration { return d.lease }

// Ping asks the database whether it answers.
func (d *DB) Ping(ctx context.Context) error {
	var one int
	return explain(d.r.QueryRowContext(ctx, "SELECT 1").Scan(&one), "")
}

// Tx is one write transaction. It must not wait for anything but the database.
type Tx struct {
	Q
	actor string
	now   time.Time
	woken bool
	undo  []func()
	p     *pipeline // PostgreSQL only

	stored map[string]Bucket // buckets that were locked, as they are stored now
}

// Tx runs fn in one write transaction and commits when it returns nil.
func (d *DB) Tx(ctx context.Context, now time.Time, fn func(*Tx) error) error {
	if d.readOnly {
		return &certfleet.Error{Kind: certfleet.Denied, Msg: "this database was opened read-only", Advice: "use the manager that owns it to change anything"}
	}
	for try := 0; ; try++ {
		err := d.once(ctx, now, fn)
		if try < 3 && retryable(err) {
			continue
		}
		if err == nil && d.committed != nil {
			d.committed()
		}
		return explain(err, "")
	}
}

func (d *DB) once(ctx context.Context, now time.Time, fn func(*Tx) error) (err error) {
	tx := &Tx{Q: Q{pg: d.pg}, actor: ActorOf(ctx), now: now}
	defer func() {
		if err != nil {
			tx.undone()
		}
	}()
	if d.pg {
		err = d.alone(ctx, tx, fn)
	} else {
		err = d.writer.write(ctx, tx, fn)
	}
	if err == nil && tx.woken {
		d.wake()
	}
	return err
}

// undone takes back what was changed in memory for rows that were not written.
func (t *Tx) undone() {
	for _, f := range t.undo {
		f()
	}
	t.undo = nil
}

// retryable reports a serialization failure or deadlock of PostgreSQL, or that a
// connection was gone before anything was sent.
func retryable(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// Now is the moment of this transaction.
func (t *Tx) Now() time.Time { return t.now }

// Wake says that something is due at once: after the commit, whoever waits on
// Wakes looks again.
func (t *Tx) Wake() { t.woken = true }

// Wakes is a channel that gets a value after a commit that wants action now.
// The returned func gives it back.
func (d *DB) Wakes() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakes = append(d.wakes, c)
	return c, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for i, w := range d.wakes {
			if w == c {
				d.wakes = append(d.wakes[:i], d.wakes[i+1:]...)
				return
			}
		}
	}
}

func (d *DB) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.wakes {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

type actorKey struct{}

// WithActor says who acts; it is written on every event (token:LABEL, user:NAME, node:ID).
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// ActorOf is who acts in ctx.
func ActorOf(ctx context.Context) string {
	if a, ok := ctx.Value(actorKey{}).(string); ok {
		return a
	}
	return "node"
}
