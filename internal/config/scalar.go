package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/certfleet/certfleet"
)

// isScalar reports whether v is written as one word.
func isScalar(v reflect.Value) bool {
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return true
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return true
	}
	return false
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	text, ok := scalarText(n)
	if !ok {
		d.wrongKind(n, path, "a single value", "write one value after the colon")
		return
	}
	if err := setScalar(v, text); err != nil {
		d.fail(n, explain(err, path))
	}
}

// scalarText is a scalar as it was written, so that 0640 and 1.10 stay as they are.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// setScalar reads text into v; an empty text leaves v as it is, the default.
func setScalar(v reflect.Value, text string) error {
	if text == "" {
		return nil
	}
	switch p := v.Addr().Interface().(type) {
	case *netip.Prefix:
		got, err := parsePrefix(text)
		*p = got
		return err
	case *slog.Level:
		return setLevel(p, text)
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	}
	return setBasic(v, text)
}

func setBasic(v reflect.Value, text string) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return invalid("write true or false", "%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case v.CanInt():
		n, err := strconv.ParseInt(text, 0, v.Type().Bits())
		if err != nil {
			return invalid("write a whole number", "%q is not a whole number of the right size", text)
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(text, 0, v.Type().Bits())
		if err != nil {
			return invalid("write a whole number that is not negative", "%q is not a whole number of the right size", text)
		}
		v.SetUint(n)
	default:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil {
			return invalid("write a number", "%q is not a number", text)
		}
		v.SetFloat(n)
	}
	return nil
}

func setLevel(level *slog.Level, text string) error {
	words := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := words[strings.ToLower(text)]
	if !ok {
		return invalid("use one of debug, info, warn, error", "%q is not a log level", text)
	}
	*level = l
	return nil
}

// explain puts the setting's path before the message, and keeps the advice.
func explain(err error, path string) *certfleet.Error {
	if e, ok := errors.AsType[*certfleet.Error](err); ok {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: path + ": " + e.Msg, Advice: e.Advice, Err: e.Err}
	}
	return invalid("see what "+path+" takes in the commented file that certfleet init writes", "%s: %v", path, err)
}

// any is a node as plain maps, lists and words.
func (d *decoder) any(n ast.Node, path string) any {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		m := map[string]any{}
		d.entries(n, reflect.ValueOf(&m).Elem(), path)
		return m
	case *ast.SequenceNode:
		var l []any
		d.list(n, reflect.ValueOf(&l).Elem(), path)
		return l
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	}
	text, ok := scalarText(n)
	if !ok {
		d.wrongKind(n, path, "a value", fmt.Sprintf("write a value at %s", path))
		return nil
	}
	return text
}
