package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

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
	rows, err := q.x.QueryContext(ctx, "SELECT "+t.cols(t.name+".")+" FROM "+t.name+" "+tail, args...)
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
	row := q.x.QueryRowContext(ctx, "SELECT "+t.cols(t.name+".")+" FROM "+t.name+" "+tail+" LIMIT 1", args...)
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
	var cols, marks []string
	var args []any
	for _, f := range fs[1:] {
		args = append(args, f.value())
		cols = append(cols, f.col)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	q := "INSERT INTO " + t.name + " (" + strings.Join(cols, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ") RETURNING " + fs[0].col
	if err := tx.x.QueryRowContext(ctx, q, args...).Scan(fs[0].v); err != nil {
		return explain(fmt.Errorf("add %s: %w", t.what, err), "")
	}
	return nil
}

// save writes v where its id and revision still are what they were read as,
// and raises the revision. Conflict means that somebody else was faster.
func (t table[T]) save(ctx context.Context, tx *Tx, v *T, rev *int64) error {
	fs := t.fields(v)
	var sets []string
	var args []any
	for _, f := range fs[1:] {
		if f.col == "rev" {
			continue
		}
		args = append(args, f.value())
		sets = append(sets, fmt.Sprintf("%s = $%d", f.col, len(args)))
	}
	n := len(args)
	args = append(args, fs[0].value(), *rev)
	q := fmt.Sprintf("UPDATE %s SET %s, rev = rev + 1 WHERE id = $%d AND rev = $%d", t.name, strings.Join(sets, ", "), n+1, n+2)
	if err := tx.changeOne(ctx, q, args...); err != nil {
		return fmt.Errorf("save %s: %w", t.what, err)
	}
	*rev++
	return nil
}

// ErrStale says that a row changed between reading and writing it.
var ErrStale = &certfleet.Error{Kind: certfleet.Conflict, Msg: "somebody else changed it meanwhile", Advice: "read it again and repeat the change"}

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

// ms stores a moment as milliseconds, zero for never.
func ms(t *time.Time) any { return &msField{t} }

type msField struct{ t *time.Time }

func (m *msField) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("scan a moment from %T", v)
	}
	*m.t = certfleet.FromMillis(n)
	return nil
}

// Value is the number of milliseconds.
func (m *msField) Value() (driver.Value, error) { return certfleet.Millis(*m.t), nil }

// flag stores a bool as 0 or 1.
func flag(b *bool) any { return &flagField{b} }

type flagField struct{ b *bool }

func (f *flagField) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("scan a flag from %T", v)
	}
	*f.b = n != 0
	return nil
}

// Value is 0 or 1.
func (f *flagField) Value() (driver.Value, error) {
	if *f.b {
		return int64(1), nil
	}
	return int64(0), nil
}

// ref stores a reference to another row, zero as NULL.
func ref(id *int64) any { return &refField{id} }

type refField struct{ id *int64 }

func (r *refField) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*r.id = 0
	case int64:
		*r.id = v
	default:
		return fmt.Errorf("scan a reference from %T", v)
	}
	return nil
}

// Value is the id, or NULL.
func (r *refField) Value() (driver.Value, error) {
	if *r.id == 0 {
		return nil, nil
	}
	return *r.id, nil
}

// doc stores anything as JSON text, a zero value as empty text.
func doc[T any](v *T) any { return &docField[T]{v} }

type docField[T any] struct{ v *T }

func (d *docField[T]) Scan(v any) error {
	var b []byte
	switch v := v.(type) {
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("scan JSON from %T", v)
	}
	if len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, d.v)
}

// Value is the JSON text.
func (d *docField[T]) Value() (driver.Value, error) {
	if v := reflect.ValueOf(d.v).Elem(); v.IsZero() {
		return "", nil
	}
	b, err := json.Marshal(d.v)
	return string(b), err
}

// nameList stores names as JSON without checking them again when read.
func nameList(n *[]certfleet.Name) any { return &namesField{n} }

type namesField struct{ n *[]certfleet.Name }

func (f *namesField) Scan(v any) error {
	var ss []string
	if err := (&docField[[]string]{&ss}).Scan(v); err != nil {
		return err
	}
	*f.n = make([]certfleet.Name, len(ss))
	for i, s := range ss {
		if err := (*f.n)[i].Scan(s); err != nil {
			return err
		}
	}
	return nil
}

// Value is the JSON text.
func (f *namesField) Value() (driver.Value, error) {
	b, err := json.Marshal(certfleet.Strings(*f.n))
	return string(b), err
}

// Scan ignores what is stored: the key follows from the names.
func (s setKey) Scan(any) error { return nil }

// Value is the exact set as CAs count it.
func (s setKey) Value() (driver.Value, error) { return certfleet.SetKey(*s.names), nil }
