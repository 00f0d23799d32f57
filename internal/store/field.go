package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/certfleet/certfleet"
)

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

// text stores bytes that are text, such as JSON.
func text(b *[]byte) any { return &textField{b} }

type textField struct{ b *[]byte }

func (f *textField) Scan(v any) error {
	switch v := v.(type) {
	case string:
		*f.b = []byte(v)
	case []byte:
		*f.b = append([]byte(nil), v...)
	default:
		return fmt.Errorf("scan text from %T", v)
	}
	return nil
}

// Value is the text.
func (f *textField) Value() (driver.Value, error) { return string(*f.b), nil }

// blob stores bytes in a column that is never NULL.
func blob(b *[]byte) any { return &blobField{b} }

type blobField struct{ b *[]byte }

func (f *blobField) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*f.b = nil
	case []byte:
		*f.b = append([]byte(nil), v...)
	default:
		return fmt.Errorf("scan bytes from %T", v)
	}
	return nil
}

// Value is the bytes, empty rather than NULL.
func (f *blobField) Value() (driver.Value, error) {
	if *f.b == nil {
		return []byte{}, nil
	}
	return *f.b, nil
}
