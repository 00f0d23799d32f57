package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
)

// writer is SQLite's one writing connection. Transactions that wait for it at
// the same time are committed together, because a durable commit waits for the
// disk, and that wait bounds how much is issued in a second.
//
// Who has the turn runs its function in a savepoint of the open transaction (or
// opens one, which needs none), passes the turn on and queues again. The turn goes round in order,
// so by the time it comes back everyone who waited has run; then the whole
// transaction is committed and all of them return.
type writer struct {
	db   *sql.DB
	turn chan struct{} // holds one token: whose turn it is

	commits atomic.Int64

	// What follows belongs to whoever has the turn.
	conn *sql.Conn // held, because prepared statements belong to it
	run  *prepared
	open *batch
}

// batch is one transaction with the work of several callers.
type batch struct {
	tx   *sql.Tx
	size int
	done chan struct{} // closed when the transaction ended
	err  error         // set before done is closed
}

// mostTogether bounds how many callers one commit holds up.
const mostTogether = 128

func newWriter(db *sql.DB) *writer {
	w := &writer{db: db, turn: make(chan struct{}, 1)}
	w.turn <- struct{}{}
	return w
}

// errBroken is what the others get when SQLite gave up the whole transaction.
var errBroken = errors.New("the transaction was given up")

// write runs fn and returns when its writes are durable.
func (w *writer) write(ctx context.Context, tx *Tx, fn func(*Tx) error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.turn:
	}
	b, err := w.join(ctx, tx, fn)
	if err != nil {
		return err
	}
	select {
	case <-b.done:
	case <-w.turn:
		if w.open == b {
			w.commit()
		}
		w.turn <- struct{}{}
		<-b.done
	}
	return b.err
}

// join runs fn as a part of the open transaction and passes the turn on.
func (w *writer) join(ctx context.Context, tx *Tx, fn func(*Tx) error) (*batch, error) {
	defer func() { w.turn <- struct{}{} }()
	if w.open == nil {
		if err := w.begin(ctx); err != nil {
			return nil, err
		}
	}
	b := w.open
	first := b.size == 0 // what it does is undone with the whole transaction
	if !first {
		if _, err := w.run.ExecContext(context.WithoutCancel(ctx), "SAVEPOINT part"); err != nil {
			w.giveUp(err)
			return nil, err
		}
	}
	whole := false
	defer func() { // also when fn panics or ends its goroutine
		if !whole {
			w.takeBack(b)
		}
	}()
	tx.x = uncancelled{w.run}
	if err := fn(tx); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !first {
		if _, err := w.run.ExecContext(context.WithoutCancel(ctx), "RELEASE part"); err != nil {
			return nil, err
		}
	}
	whole = true
	if b.size++; b.size >= mostTogether {
		w.commit()
	}
	return b, nil
}

// takeBack undoes one caller's part; the others' stays. When SQLite has given
// up the transaction itself (a full disk), everyone's is gone.
func (w *writer) takeBack(b *batch) {
	if b.size == 0 {
		w.giveUp(nil)
		return
	}
	ctx := context.Background()
	_, err := w.run.ExecContext(ctx, "ROLLBACK TO part")
	if err == nil {
		_, err = w.run.ExecContext(ctx, "RELEASE part")
	}
	if err != nil {
		w.giveUp(err)
	}
}

func (w *writer) begin(ctx context.Context) error {
	if w.conn == nil {
		conn, err := w.db.Conn(ctx)
		if err != nil {
			return err
		}
		w.conn, w.run = conn, newPrepared(conn)
	}
	tx, err := w.conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return errors.Join(err, w.drop())
	}
	w.open = &batch{tx: tx, done: make(chan struct{})}
	return nil
}

// drop gives the connection back; the next transaction takes a fresh one.
func (w *writer) drop() error {
	if w.conn == nil {
		return nil
	}
	err := errors.Join(w.run.close(), w.conn.Close())
	w.conn, w.run = nil, nil
	return err
}

func (w *writer) commit() {
	b := w.open
	w.open = nil
	w.commits.Add(1)
	if b.err = b.tx.Commit(); b.err != nil {
		b.tx.Rollback() // nothing is left of it either way
	}
	close(b.done)
}

func (w *writer) giveUp(cause error) {
	b := w.open
	w.open = nil
	b.tx.Rollback() // nothing is left of it either way
	if b.err = errBroken; cause != nil {
		b.err = fmt.Errorf("%w: %w", errBroken, cause)
	}
	close(b.done)
}

// close waits for its turn and ends what is open.
func (w *writer) close() error {
	<-w.turn
	defer func() { w.turn <- struct{}{} }()
	if w.open != nil {
		w.commit()
	}
	return w.drop()
}

// uncancelled runs statements to their end: an interrupted write makes SQLite
// give up the transaction of everyone in it.
type uncancelled struct{ x execer }

// ExecContext runs a statement that returns no rows.
func (u uncancelled) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	return u.x.ExecContext(context.WithoutCancel(ctx), q, args...)
}

// QueryContext runs a statement that returns rows.
func (u uncancelled) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return u.x.QueryContext(context.WithoutCancel(ctx), q, args...)
}

// QueryRowContext runs a statement that returns one row.
func (u uncancelled) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	return u.x.QueryRowContext(context.WithoutCancel(ctx), q, args...)
}
