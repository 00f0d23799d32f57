package client

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// encode writes the fields of a query struct that are not zero.
func encode(query any) url.Values {
	q := url.Values{}
	if query != nil {
		encodeInto(q, reflect.Indirect(reflect.ValueOf(query)))
	}
	return q
}

func encodeInto(q url.Values, v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("query"), ",")
		switch f := v.Field(i); {
		case field.Anonymous:
			encodeInto(q, f)
		case name == "" || f.IsZero():
		case f.Kind() == reflect.Slice:
			for j := range f.Len() {
				q.Add(name, fmt.Sprint(f.Index(j).Interface()))
			}
		default:
			q.Set(name, word(f.Interface()))
		}
	}
}

func word(v any) string {
	if t, ok := v.(time.Time); ok {
		return t.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}
