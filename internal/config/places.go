package config

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/certfleet/certfleet"
)

// Places remembers where settings stand, for what is found wrong with them only
// when something is made of them.
type Places struct {
	src     *source
	at      map[string]ast.Node
	fromEnv map[string]string
}

// Problem puts before err where the setting at path ("probe.roots") stands.
func (p Places) Problem(path string, err error) error {
	if err == nil {
		return nil
	}
	e := refusal(err)
	if name, ok := p.fromEnv[path]; ok {
		e.Msg = "environment variable " + name + ": " + e.Msg
		return e
	}
	if n, ok := p.at[path]; ok {
		return p.src.problem(n.GetToken(), e)
	}
	return e
}

// refusal is err as one that a position can be put before: its causes are in the
// message, because an excerpt of the file follows it.
func refusal(err error) *certfleet.Error {
	return &certfleet.Error{Kind: certfleet.KindOf(err), Msg: err.Error(), Advice: certfleet.AdviceOf(err)}
}

// Problem puts before err, which a plugin has with the section's settings, where
// they stand: at the setting that err speaks of, else at the section's type.
func (s Section) Problem(err error) error {
	if err == nil || s.node == nil || slices.ContainsFunc(Problems(err), func(e *certfleet.Error) bool { return strings.HasPrefix(e.Msg, s.src.name+":") }) {
		return err
	}
	e := refusal(err)
	return s.src.problem(s.meant(e).GetToken(), e)
}

// meant is the key that a problem speaks of.
func (s Section) meant(e *certfleet.Error) ast.Node {
	pairs := newDecoder(s.src).pairs(s.node, s.path)
	for _, text := range []string{e.Msg, e.Advice} {
		for _, p := range pairs {
			if key := p.Key.GetToken().Value; key != "type" && slices.Contains(wordsIn(text), key) {
				return p.Key
			}
		}
	}
	for _, p := range pairs {
		if p.Key.GetToken().Value == "type" {
			return p.Value
		}
	}
	return s.node
}

func wordsIn(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return !(r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	})
}

// UnknownType says that nothing is known of the section's type; what is the word
// for such a plugin.
func (s Section) UnknownType(what string, known []string) error {
	e := invalid("use one of "+strings.Join(known, ", "), "%s %q has unknown type %q", what, s.Label, s.Type)
	if near := nearest(s.Type, known); near != "" {
		e.Msg += "; did you mean \"" + near + "\"?"
	}
	if s.node == nil {
		return e
	}
	for _, p := range newDecoder(s.src).pairs(s.node, s.path) {
		if p.Key.GetToken().Value == "type" {
			return s.src.problem(p.Value.GetToken(), e)
		}
	}
	return e
}
