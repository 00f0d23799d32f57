package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/certfleet/certfleet"
)

// decoder turns nodes into values. It goes on after a problem, so that a person
// sees all of them at once.
type decoder struct {
	src      *source
	at       map[string]ast.Node // where each setting stands, by its path
	problems []error
}

func newDecoder(src *source) *decoder { return &decoder{src: src, at: map[string]ast.Node{}} }

func (d *decoder) fail(n ast.Node, e *certfleet.Error) {
	d.problems = append(d.problems, d.src.problem(n.GetToken(), e))
}

// nodeReader is a value that reads its node itself.
type nodeReader interface {
	readNode(d *decoder, n ast.Node, path string)
}

// value decodes n into v, which stands at path ("listen.api").
func (d *decoder) value(n ast.Node, v reflect.Value, path string) {
	d.at[path] = n
	if n.Type() == ast.NullType {
		return // as if it were not there
	}
	if own, ok := v.Addr().Interface().(nodeReader); ok {
		own.readNode(d, n, path)
		return
	}
	switch {
	case isScalar(v):
		d.scalar(n, v, path)
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path)
	case v.Kind() == reflect.Struct:
		d.fields(n, v, path, "")
	case v.Kind() == reflect.Map:
		d.entries(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	case v.Kind() == reflect.Interface && v.NumMethod() == 0:
		if got := d.any(n, path); got != nil {
			v.Set(reflect.ValueOf(got))
		}
	default:
		d.fail(n, &certfleet.Error{Msg: fmt.Sprintf("%s is of type %s, which cannot be configured", path, v.Type()), Advice: "report this as a fault of certfleet"})
	}
}

// pairs are the entries of a mapping, in the order of the file.
func (d *decoder) pairs(n ast.Node, path string) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	d.wrongKind(n, path, "settings of its own", "put them below it, indented, as KEY: VALUE")
	return nil
}

// fields decodes a mapping into a struct; the key called skip is passed by. A
// value that is zero leaves what the field held before: the default.
func (d *decoder) fields(n ast.Node, v reflect.Value, path, skip string) {
	known := fieldsOf(v.Type())
	for _, pair := range d.pairs(n, path) {
		key := pair.Key.GetToken().Value
		index, ok := known.index[key]
		switch {
		case pair.Key.IsMergeKey():
			d.fail(pair.Key, notUsed())
		case ok:
			f := v.FieldByIndex(index)
			before := reflect.New(f.Type()).Elem()
			before.Set(f)
			d.value(pair.Value, f, join(path, key))
			if f.IsZero() {
				f.Set(before)
			}
		case key != skip:
			d.fail(pair.Key, unknownSetting(key, path, known.names))
		}
	}
}

func (d *decoder) entries(n ast.Node, v reflect.Value, path string) {
	if v.Type().Key().Kind() != reflect.String {
		d.fail(n, &certfleet.Error{Msg: path + " has keys that are not text", Advice: "report this as a fault of certfleet"})
		return
	}
	m := reflect.MakeMap(v.Type())
	for _, pair := range d.pairs(n, path) {
		key := pair.Key.GetToken().Value
		if pair.Key.IsMergeKey() {
			d.fail(pair.Key, notUsed())
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(pair.Value, e, join(path, key))
		m.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e)
	}
	v.Set(m)
}

// list decodes a sequence; a single value is a list of one.
func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	items := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		items = seq.Values
	}
	if len(items) == 0 {
		v.SetZero()
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(items))
	for i, item := range items {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(item, e, fmt.Sprintf("%s[%d]", path, i))
		out = reflect.Append(out, e)
	}
	v.Set(out)
}

func (d *decoder) wrongKind(n ast.Node, path, want, advice string) {
	if path == "" {
		path = "the file"
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.fail(n, notUsed())
		return
	}
	d.fail(n, invalid(advice, "%s has %s, not %s", path, nodeWord(n), want))
}

func nodeWord(n ast.Node) string {
	switch n.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "settings below it"
	}
	return "a single value"
}

func notUsed() *certfleet.Error {
	return invalid("write the value out", "anchors, aliases, tags and merge keys are not read here")
}

func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }
