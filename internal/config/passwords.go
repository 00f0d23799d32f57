package config

import (
	"errors"
	"net/url"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// CheckPasswords refuses settings that have a password within a URL: what is
// configured is shown, exported and kept in backups. No error repeats one.
func (s Section) CheckPasswords() error {
	if s.node == nil {
		return nil
	}
	w := &passwords{decoder: newDecoder(s.src), key: s.node, name: s.path}
	ast.Walk(w, s.node)
	return errors.Join(w.problems...)
}

// passwords looks at every text below a node.
type passwords struct {
	*decoder
	key  ast.Node // of the setting that is looked at
	name string
}

// Visit is called with each node, keys before what they hold.
func (w *passwords) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.MappingValueNode:
		w.key, w.name = n.Key, n.Key.GetToken().Value
	case *ast.StringNode:
		w.look(n.Value)
	case *ast.LiteralNode:
		w.look(n.Value.Value)
	}
	return w
}

func (w *passwords) look(text string) {
	if passwordInURL(text) {
		w.fail(w.key, invalid("put the URL into a file or the environment and write file:PATH or env:NAME, or give the password by a setting of its own", "%s holds a URL with a password in it", w.name))
	}
}

// passwordInURL errs on the side of caution where a URL cannot be read.
func passwordInURL(text string) bool {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		return false
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != strings.ToLower(scheme) || strings.Contains(rest, "://") { // in a command, or one of several
		before, _, at := strings.Cut(rest, "@")
		return at && strings.Contains(before, ":")
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}
