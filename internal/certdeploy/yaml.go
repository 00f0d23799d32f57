package certdeploy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is a value of a YAML 1.1 document: a scalar, a list or a mapping.
type node struct {
	text   string // of a scalar, as it is written
	quoted bool   // so that it is text, whatever it looks like
	items  []*node
	keys   []string // in the order of the file
	fields map[string]*node
	kind   nodeKind
}

type nodeKind uint8

const (
	scalar nodeKind = iota
	list
	mapping
)

// The bounds of a document. Aliases are copied, so they could grow without end.
const (
	maxYAML  = 1 << 20 // bytes
	maxNodes = 100_000
	maxDepth = 64
)

var errTooMuch = errors.New("the document is too large or too deep")

// readYAML reads one document; nil when there is nothing in it.
func readYAML(text []byte) (n *node, err error) {
	if len(text) > maxYAML {
		return nil, errTooMuch
	}
	defer func() {
		if p := recover(); p != nil { // a parser that gives up must not end a daemon
			n, err = nil, fmt.Errorf("the document cannot be parsed: %v", p)
		}
	}()
	f, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	r := reader{anchors: map[string]*node{}}
	for _, doc := range f.Docs {
		switch {
		case doc.Body == nil:
		case n != nil:
			return nil, errors.New("expected a single document")
		default:
			if n, err = r.read(doc.Body, 0); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

type reader struct {
	anchors map[string]*node
	count   int
}

func (r *reader) read(n ast.Node, depth int) (*node, error) {
	if r.count++; r.count > maxNodes || depth > maxDepth {
		return nil, errTooMuch
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(n.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out := &node{kind: list}
		for _, item := range n.Values {
			got, err := r.read(item, depth+1)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, got)
		}
		return out, nil
	case *ast.AnchorNode:
		got, err := r.read(n.Value, depth+1)
		r.anchors[n.Name.GetToken().Value] = got
		return got, err
	case *ast.AliasNode:
		got, ok := r.anchors[n.Value.GetToken().Value]
		if !ok || got == nil {
			return nil, fmt.Errorf("alias %q has no anchor before it", n.Value.GetToken().Value)
		}
		if r.count += got.size(); r.count > maxNodes {
			return nil, errTooMuch
		}
		return got, nil
	case *ast.TagNode:
		got, err := r.read(n.Value, depth+1)
		if err == nil && n.Start.Value == "!!str" {
			got = &node{text: got.text, quoted: true}
		}
		return got, err
	}
	return r.scalar(n), nil
}

func (r *reader) scalar(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.StringNode:
		t := n.GetToken().Type
		return &node{text: n.Value, quoted: t == token.SingleQuoteType || t == token.DoubleQuoteType}
	case *ast.LiteralNode:
		return &node{text: n.Value.Value, quoted: true}
	case *ast.NullNode, nil:
		return &node{}
	}
	return &node{text: n.GetToken().Value}
}

// mapping reads pairs; the last of equal keys counts, and what stands there
// counts before what is merged in.
func (r *reader) mapping(pairs []*ast.MappingValueNode, depth int) (*node, error) {
	out := &node{kind: mapping, fields: map[string]*node{}}
	var merged []*node
	for _, p := range pairs {
		v, err := r.read(p.Value, depth+1)
		switch {
		case err != nil:
			return nil, err
		case p.Key.IsMergeKey() && v.kind == list:
			merged = append(merged, v.items...)
		case p.Key.IsMergeKey():
			merged = append(merged, v)
		default:
			out.set(keyText(p.Key), v)
		}
	}
	for _, m := range merged {
		for _, k := range m.keys {
			if out.fields[k] == nil {
				out.set(k, m.fields[k])
			}
		}
	}
	return out, nil
}

func keyText(k ast.MapKeyNode) string {
	if s, ok := k.(*ast.StringNode); ok {
		return s.Value
	}
	return k.GetToken().Value
}

func (n *node) set(key string, v *node) {
	if !slices.Contains(n.keys, key) {
		n.keys = append(n.keys, key)
	}
	n.fields[key] = v
}

func (n *node) size() int {
	total := 1
	for _, i := range n.items {
		total += i.size()
	}
	for _, f := range n.fields {
		total += f.size()
	}
	return total
}
