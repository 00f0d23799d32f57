package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/certfleet/certfleet"
)

// source is the text that is read, to point into.
type source struct {
	name  string
	lines []string
}

// parse reads text as one YAML document; the node is nil when it is empty.
func parse(text []byte, name string) (*source, ast.Node, error) {
	src := &source{name: name, lines: strings.Split(string(text), "\n")}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return src, nil, src.syntax(err)
	}
	var body ast.Node
	for _, doc := range f.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.NullType:
		case body != nil:
			return src, nil, src.problem(doc.Body.GetToken(), invalid("put everything into one document, without ---", "there is a second document"))
		default:
			body = doc.Body
		}
	}
	return src, body, nil
}

func (s *source) syntax(err error) error {
	var bad *yaml.SyntaxError
	if !errors.As(err, &bad) {
		return invalid("check indentation, quotes and brackets", "%s is not YAML", s.name)
	}
	msg := bad.Message
	if strings.Contains(msg, "header option") { // it repeats what stands there
		msg = "what follows | or > is not understood"
	}
	return s.problem(bad.Token, invalid("check indentation, quotes and brackets near here", "this is not YAML: %s", msg))
}

// problem puts the position before e's message and the line below it.
func (s *source) problem(at *token.Token, e *certfleet.Error) *certfleet.Error {
	if at == nil || at.Position == nil {
		e.Msg = s.name + ": " + e.Msg
		return e
	}
	line, col := at.Position.Line, at.Position.Column
	word := at.Value
	if !strings.Contains(e.Msg, strconv.Quote(word)) {
		word = ""
	}
	e.Msg = fmt.Sprintf("%s:%d:%d: %s%s", s.name, line, col, e.Msg, s.excerpt(line, col, word))
	return e
}

// excerpt is the line up to word, with a mark below it. A secret may follow, or
// be the word itself, which is therefore shown only where the message shows it.
func (s *source) excerpt(line, col int, word string) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	text := []rune(strings.TrimRight(s.lines[line-1], "\r"))
	if col < 1 || col > len(text) || strings.ContainsRune(string(text[:col-1]), '{') {
		return "" // what stands before in the same braces may be a secret too
	}
	end := min(len(text), col-1+len([]rune(word)))
	more := ""
	if end < len(text) {
		more = "…"
	}
	number := fmt.Sprintf("%5d | ", line)
	blank := strings.Map(keepTabs, string(text[:col-1]))
	return fmt.Sprintf("\n%s%s%s\n%s%s^", number, string(text[:end]), more, strings.Repeat(" ", len(number)-2)+"| ", blank)
}

// keepTabs makes a line of blanks as wide as the one above it.
func keepTabs(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}

// Problems are the single problems in an error of Parse, Load or Decode.
func Problems(err error) []*certfleet.Error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*certfleet.Error); ok {
		return []*certfleet.Error{e}
	}
	var all []*certfleet.Error
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			all = append(all, Problems(e)...)
		}
		return all
	}
	if e := Problems(errors.Unwrap(err)); e != nil {
		return e
	}
	return []*certfleet.Error{{Msg: err.Error()}}
}
