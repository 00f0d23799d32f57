package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// pipeline is a transaction of PostgreSQL. A round trip costs more than most of our
// statements, and others wait meanwhile for the rows that it has changed: so writes
// of which nobody asks what came of them are kept, and sent with the next statement
// that answers something, or with the commit.
//
// The transaction begins with the first write. Reads before it need none: each sees
// what is committed when it runs, in a transaction or not (READ COMMITTED).
type pipeline struct {
	conn  *sql.Conn
	begun bool
	late  []late
	err   error // what became of a late write; nothing is committed then
}

// late is a write that is still to be sent.
type late struct {
	q    string
	args []any
	what string // what it does, if it is wrong for it to touch no row
}

// later keeps a write. Its arguments are taken as they are now.
func (p *pipeline) later(w late) error {
	for i, a := range w.args {
		v, ok := a.(driver.Valuer)
		if !ok {
			continue
		}
		var err error
		if w.args[i], err = v.Value(); err != nil {
			return err
		}
	}
	p.late = append(p.late, w)
	return nil
}

// statement is the text to send. One that has to touch a row fails at the server if
// it does not, so that what is sent behind it, the commit too, is not done.
func (w late) statement() string {
	if w.what == "" {
		return w.q
	}
	return "WITH touched AS (" + w.q + " RETURNING 1) SELECT 1 / count(*) FROM touched"
}

// divisionByZero is PostgreSQL's code for it.
const divisionByZero = "22012"

func (w late) explain(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && w.what != "" && pg.Code == divisionByZero {
		return fmt.Errorf("%s: %w", w.what, ErrStale)
	}
	return err
}

// send sends what was kept, and says what the last of it did.
func (p *pipeline) send(ctx context.Context) (last pgconn.CommandTag, err error) {
	if p.err != nil {
		return last, p.err
	}
	list := p.late
	if p.late = nil; !p.begun {
		p.begun, list = true, append([]late{{q: "begin"}}, list...)
	}
	raw := p.conn.Raw(func(c any) error {
		last, err = sendAll(ctx, c.(*stdlib.Conn).Conn(), list)
		return nil
	})
	p.err = errors.Join(err, raw)
	return last, p.err
}

func sendAll(ctx context.Context, c *pgx.Conn, list []late) (last pgconn.CommandTag, err error) {
	if len(list) == 0 {
		return last, nil
	}
	b := &pgx.Batch{}
	for _, w := range list {
		b.Queue(w.statement(), w.args...)
	}
	answers := c.SendBatch(ctx, b)
	for _, w := range list {
		if last, err = answers.Exec(); err != nil {
			answers.Close() // says the same again
			return last, w.explain(err)
		}
	}
	return last, answers.Close()
}

// commit ends the transaction well, if it began.
func (p *pipeline) commit(ctx context.Context) error {
	if !p.begun && len(p.late) == 0 {
		return p.err
	}
	p.late = append(p.late, late{q: "commit"})
	last, err := p.send(ctx)
	if err != nil {
		return err
	}
	p.begun = false
	if last.String() != "COMMIT" { // an error before it was passed over
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// rollbackTime bounds the end of a transaction that is given up.
const rollbackTime = 5 * time.Second

// giveUp ends the transaction if it was not committed. If that fails too, the pool
// throws the connection away.
func (p *pipeline) giveUp(ctx context.Context) {
	if !p.begun {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	p.conn.ExecContext(ctx, "rollback")
}

// ExecContext runs a statement that returns no rows.
func (p *pipeline) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	if err := p.later(late{q: q, args: args}); err != nil {
		return nil, err
	}
	tag, err := p.send(ctx)
	return driver.RowsAffected(tag.RowsAffected()), err
}

// before sends what a question must see the effect of.
func (p *pipeline) before(ctx context.Context, q string) error {
	if len(p.late) == 0 && (p.begun || strings.HasPrefix(q, "SELECT ")) {
		return p.err
	}
	_, err := p.send(ctx)
	return err
}

// QueryContext runs a statement that returns rows.
func (p *pipeline) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	if err := p.before(ctx, q); err != nil {
		return nil, err
	}
	return p.conn.QueryContext(ctx, q, args...)
}

// QueryRowContext runs a statement that returns one row.
func (p *pipeline) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	if err := p.before(ctx, q); err != nil {
		// A row cannot be made to say so: the server refuses it, and p.err tells why.
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return p.conn.QueryRowContext(ctx, q, args...)
	}
	return p.conn.QueryRowContext(ctx, q, args...)
}

// alone runs fn in a transaction of its own.
func (d *DB) alone(ctx context.Context, tx *Tx, fn func(*Tx) error) error {
	conn, err := d.w.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	p := &pipeline{conn: conn}
	defer p.giveUp(ctx)
	tx.x, tx.p = p, p
	if err := fn(tx); err != nil {
		return cause(p.err, err)
	}
	return p.commit(ctx)
}

// cause is the first error of a transaction: those behind it follow from it.
func cause(first, then error) error {
	if first != nil {
		return first
	}
	return then
}

// later runs a write of which nobody asks how many rows it touched. On PostgreSQL it
// is sent later, and what is wrong with it may be told by any statement behind it or
// by the commit.
func (t *Tx) later(ctx context.Context, q string, args ...any) error {
	if t.p == nil {
		_, err := t.change(ctx, q, args...)
		return err
	}
	return t.p.later(late{q: q, args: args})
}

// laterOne is later for a write that must touch a row, else it is ErrStale.
func (t *Tx) laterOne(ctx context.Context, what, q string, args ...any) error {
	if t.p != nil {
		return t.p.later(late{q, args, what})
	}
	if err := t.changeOne(ctx, q, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
