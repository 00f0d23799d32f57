package config

import (
	"errors"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Section configures one plugin: its label, which plugin it is, and settings
// that only the plugin knows.
type Section struct {
	Label string
	Type  string

	path string // where it stands: solvers.LABEL
	src  *source
	node ast.Node // nil when there is nothing but a type
}

// Sections are the plugins of one kind, in the order of the file.
type Sections []Section

// NewSection makes a section of settings in JSON or YAML, such as a row of the
// database or the body of a request. Positions in errors count from its start.
func NewSection(label, typ string, settings []byte) (Section, error) {
	src, node, err := parse(settings, label)
	return Section{Label: label, Type: typ, path: label, src: src, node: node}, err
}

// Decode reads the section's settings into the struct that into points to; what
// it holds before are the defaults. Keys are the names in json tags. An unknown
// key or a wrong value is an error with position and advice, all of them at once.
func (s Section) Decode(into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return errors.New("decode a section: not into a pointer to a struct")
	}
	if s.node == nil {
		return nil
	}
	d := newDecoder(s.src)
	d.fields(s.node, v.Elem(), s.path, "type")
	return errors.Join(d.problems...)
}

// Gives reports whether the section has a setting, be it an empty one.
func (s Section) Gives(setting string) bool {
	if s.node == nil {
		return false
	}
	return slices.ContainsFunc(newDecoder(s.src).pairs(s.node, s.path), func(p *ast.MappingValueNode) bool { return p.Key.GetToken().Value == setting })
}

// Find is the section with that label.
func (all Sections) Find(label string) (Section, bool) {
	for _, s := range all {
		if s.Label == label {
			return s, true
		}
	}
	return Section{}, false
}

// readNode reads LABEL: {type: ..., and what the plugin knows}.
func (all *Sections) readNode(d *decoder, n ast.Node, path string) {
	for _, pair := range d.pairs(n, path) {
		if pair.Key.IsMergeKey() {
			d.fail(pair.Key, notUsed())
			continue
		}
		label := pair.Key.GetToken().Value
		s := Section{Label: label, path: join(path, label), src: d.src, node: pair.Value}
		if !validLabel(label) {
			d.fail(pair.Key, invalid("use lower-case letters, digits, dots, dashes and underscores, 64 at most", "%q is not a label", label))
			continue
		}
		if s.readType(d, pair) {
			*all = append(*all, s)
		}
	}
}

func (s *Section) readType(d *decoder, pair *ast.MappingValueNode) bool {
	problems := len(d.problems)
	if pair.Value.Type() != ast.NullType {
		for _, p := range d.pairs(pair.Value, s.path) {
			if p.Key.GetToken().Value == "type" {
				d.value(p.Value, reflect.ValueOf(&s.Type).Elem(), join(s.path, "type"))
			}
		}
	}
	if s.Type == "" && len(d.problems) == problems {
		d.fail(pair.Key, invalid("write type: and the kind of plugin below it", "%s has no type", s.path))
	}
	return len(d.problems) == problems
}

func validLabel(s string) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
