package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/certfleet/certfleet"
)

// execer is what *sql.DB and *sql.Tx share.
type execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// Q reads. A DB reads from its readers, a Tx inside its transaction.
type Q struct {
	x  execer
	pg bool
}

// field ties a column to a place in a noun. v scans and, read back, is the value.
type field struct {
	col string
	v   any
}

// table says once how a noun lies in its table; select, insert and update
// follow from it. The first column is the id.
type table[T any] struct {
	name   string
	what   string // the noun in words
	fields func(*T) []field
}

func (t table[T]) cols(alias string) string {
	return t.text("cols "+alias, func() string { return t.colsOf(alias) })
}

func (t table[T]) colsOf(alias string) string {
	var zero T
	fs := t.fields(&zero)
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = alias + f.col
	}
	return strings.Join(out, ", ")
}

// list selects the rows that tail (everything after FROM) picks.
func (t table[T]) list(ctx context.Context, q Q, tail string, args ...any) ([]T, error) {
	return t.read(q.x.QueryContext(ctx, "SELECT "+t.cols(t.name+".")+" FROM "+t.name+" "+tail, args...))
}

// read takes the rows of a statement that gives all columns.
func (t table[T]) read(rows *sql.Rows, err error) ([]T, error) {
	if err != nil {
		return nil, explain(fmt.Errorf("list %s: %w", t.name, err), "")
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(places(t.fields(&v))...); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.name, err)
		}
		out = append(out, v)
	}
	return out, explain(rows.Err(), "")
}

// one is the first row that tail picks, or NotFound.
func (t table[T]) one(ctx context.Context, q Q, tail string, args ...any) (*T, error) {
	var v T
	row := q.x.QueryRowContext(q.brief(ctx), "SELECT "+t.cols(t.name+".")+" FROM "+t.name+" "+tail+" LIMIT 1", args...)
	err := row.Scan(places(t.fields(&v))...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("no such %s", t.what)}
	}
	if err != nil {
		return nil, explain(fmt.Errorf("read %s: %w", t.name, err), "")
	}
	return &v, nil
}

// insert adds v and fills in its id.
func (t table[T]) insert(ctx context.Context, tx *Tx, v *T) error {
	fs := t.fields(v)
	args := make([]any, 0, len(fs))
	for _, f := range fs[1:] {
		args = append(args, f.value())
	}
	q := t.text("insert", func() string { return t.insertOf(fs) + " RETURNING " + fs[0].col })
	if err := tx.x.QueryRowContext(ctx, q, args...).Scan(fs[0].v); err != nil {
		return explain(fmt.Errorf("add %s: %w", t.what, err), "")
	}
	return nil
}

// insertOf is the statement that adds a row of the fields but the id.
func (t table[T]) insertOf(fs []field) string {
	var cols []string
	for _, f := range fs[1:] {
		cols = append(cols, f.col)
	}
	return "INSERT INTO " + t.name + " (" + strings.Join(cols, ", ") + ") VALUES (" + marks(len(cols)) + ")"
}

// save writes v where its id and revision still are what they were read as,
// and raises the revision. Conflict means that somebody else was faster.
func (t table[T]) save(ctx context.Context, tx *Tx, v *T, rev *int64) error {
	return t.saveBy(tx.oneNow, ctx, tx, v, rev)
}

// saveLater is save for whoever need not know at once that somebody was faster.
func (t table[T]) saveLater(ctx context.Context, tx *Tx, v *T, rev *int64) error {
	return t.saveBy(tx.laterOne, ctx, tx, v, rev)
}

func (t table[T]) saveBy(one func(ctx context.Context, what, q string, args ...any) error, ctx context.Context, tx *Tx, v *T, rev *int64) error {
	fs := t.fields(v)
	args := make([]any, 0, len(fs)+1)
	for _, f := range fs[1:] {
		if f.col != "rev" {
			args = append(args, f.value())
		}
	}
	args = append(args, fs[0].value(), *rev)
	q := t.text("save", func() string { return t.saveOf(fs) })
	if err := one(ctx, "save "+t.what, q, args...); err != nil {
		return err
	}
	*rev++
	tx.undo = append(tx.undo, func() { *rev-- })
	return nil
}

// saveOf is the statement that writes all fields but the id where id and
// revision still are these.
func (t table[T]) saveOf(fs []field) string {
	var sets []string
	for _, f := range fs[1:] {
		if f.col != "rev" {
			sets = append(sets, fmt.Sprintf("%s = $%d", f.col, len(sets)+1))
		}
	}
	n := len(sets)
	return fmt.Sprintf("UPDATE %s SET %s, rev = rev + 1 WHERE id = $%d AND rev = $%d", t.name, strings.Join(sets, ", "), n+1, n+2)
}

// texts are the statements that follow from the tables, each put together once.
var texts sync.Map // of textKey to string

type textKey struct {
	row  reflect.Type
	name string
	what string
}

func (t table[T]) text(what string, make func() string) string {
	k := textKey{reflect.TypeFor[T](), t.name, what}
	if s, ok := texts.Load(k); ok {
		return s.(string)
	}
	s := make()
	texts.Store(k, s)
	return s
}

// brief is ctx for a question that one row answers. On SQLite it is answered in
// microseconds, and to be ready to interrupt it would cost as much.
func (q Q) brief(ctx context.Context) context.Context {
	if q.pg || ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// ErrStale says that a row changed between reading and writing it.
var ErrStale = &certfleet.Error{Kind: certfleet.Conflict, Msg: "somebody else changed it meanwhile", Advice: "read it again and repeat the change"}

func (t *Tx) oneNow(ctx context.Context, what, q string, args ...any) error {
	if err := t.changeOne(ctx, q, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// changeOne runs a write that must touch exactly one row.
func (t *Tx) changeOne(ctx context.Context, q string, args ...any) error {
	n, err := t.change(ctx, q, args...)
	if err != nil {
		return err
	}
	if n != 1 {
		return ErrStale
	}
	return nil
}

// change runs a write and says how many rows it touched.
func (t *Tx) change(ctx context.Context, q string, args ...any) (int64, error) {
	res, err := t.x.ExecContext(ctx, q, args...)
	if err != nil {
		return 0, explain(err, "")
	}
	return res.RowsAffected()
}

func places(fs []field) []any {
	out := make([]any, len(fs))
	for i, f := range fs {
		out[i] = f.v
	}
	return out
}

// value reads back what the field holds, as a plain database value.
func (f field) value() any {
	if v, ok := f.v.(driver.Valuer); ok {
		return v
	}
	v := reflect.ValueOf(f.v).Elem()
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int64:
		if f.col == "tenant_id" && v.Int() == 0 {
			v.SetInt(certfleet.DefaultTenant)
		}
		return v.Int()
	}
	return v.Interface()
}
