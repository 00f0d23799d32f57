package web

import (
	_ "embed"
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.css
var docsStyle string

// documentation serves the API's description as a page that needs no script and
// no other host.
func (s *server) documentation(mux *http.ServeMux) {
	page := sync.OnceValue(func() string { return documentPage(s.api.OpenAPI()) }) // few ask, and nobody at the start
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		writeText(w, "text/html; charset=utf-8", page())
	})
	mux.HandleFunc("GET /docs.css", func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, "text/css; charset=utf-8", docsStyle)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/docs", http.StatusSeeOther) })
}

// doc writes a page; text is escaped, tags are ours.
type doc struct{ strings.Builder }

func (d *doc) tag(format string, text ...string) {
	args := make([]any, len(text))
	for i, t := range text {
		args[i] = html.EscapeString(t)
	}
	fmt.Fprintf(&d.Builder, format+"\n", args...)
}

// operation is one operation with where it is.
type operation struct {
	method, path string
	*huma.Operation
}

func operations(o *huma.OpenAPI) []operation {
	var out []operation
	for _, path := range slices.Sorted(maps.Keys(o.Paths)) {
		p := o.Paths[path]
		for _, op := range []operation{{"GET", path, p.Get}, {"POST", path, p.Post}, {"PUT", path, p.Put}, {"PATCH", path, p.Patch}, {"DELETE", path, p.Delete}} {
			if op.Operation != nil {
				out = append(out, op)
			}
		}
	}
	return out
}

func documentPage(o *huma.OpenAPI) string {
	d := &doc{}
	d.tag(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%s API</title><link rel="stylesheet" href="/docs.css"></head><body><main>`, o.Info.Title)
	d.tag("<h1>%s API</h1><p>%s</p>", o.Info.Title, o.Info.Description)
	d.tag(`<p>Every request carries a token: <code>Authorization: Bearer cf_...</code>. Errors are problem documents (RFC 9457) with an <code>advice</code>. Lists answer <code>items</code> and <code>next</code>, which is the next <code>cursor</code>. Ids are numbers; where an id stands in a path, a label may stand too.</p><p>For programs: <a href="/v1/openapi.json">openapi.json</a>, <a href="/v1/openapi.yaml">openapi.yaml</a>.</p>`)
	byTag := map[string][]operation{}
	for _, op := range operations(o) {
		byTag[op.Tags[0]] = append(byTag[op.Tags[0]], op)
	}
	tags := slices.Sorted(maps.Keys(byTag))
	d.tag("<nav><ul>")
	for _, t := range tags {
		d.tag(`<li><a href="#%s">%s</a></li>`, t, t)
	}
	d.tag(`<li><a href="#shapes">shapes</a></li></ul></nav>`)
	for _, t := range tags {
		d.tag(`<h2 id="%s">%s</h2>`, t, t)
		for _, op := range byTag[t] {
			d.operation(op)
		}
	}
	d.shapes(o)
	d.tag("</main></body></html>")
	return d.String()
}

func (d *doc) operation(op operation) {
	d.tag(`<h3 id="%s"><code>%s %s</code></h3>`, op.OperationID, op.method, op.path)
	d.tag("<p>%s. %s <small>Scope %s.</small></p>", op.Summary, op.Description, string(scopeOf(op.Operation)))
	if len(op.Parameters) > 0 {
		d.tag("<table><tr><th>parameter</th><th>in</th><th>type</th><th>what</th></tr>")
		for _, p := range op.Parameters {
			d.tag("<tr><td><code>%s</code></td><td>%s</td><td>%s</td><td>%s</td></tr>", p.Name, p.In, typeName(p.Schema), p.Description)
		}
		d.tag("</table>")
	}
	if op.RequestBody != nil {
		if m := op.RequestBody.Content["application/json"]; m != nil {
			d.tag("<p>Sends ")
			d.link(m.Schema)
			d.tag("</p>")
		}
	}
	if r := op.Responses["200"]; r != nil {
		for _, media := range slices.Sorted(maps.Keys(r.Content)) {
			d.tag("<p>Answers ")
			d.link(r.Content[media].Schema)
			d.tag(" <small>%s</small></p>", media)
		}
	}
}

// link names a schema, as a link when it is one of the shapes.
func (d *doc) link(s *huma.Schema) {
	name := typeName(s)
	if s != nil && s.Ref != "" {
		d.tag(`<a href="#shape-%s"><code>%s</code></a>`, name, name)
		return
	}
	d.tag("<code>%s</code>", name)
}

func typeName(s *huma.Schema) string {
	switch {
	case s == nil:
		return "anything"
	case s.Ref != "":
		return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	case s.Type == "array":
		return "list of " + typeName(s.Items)
	case s.Format != "" && s.Type == "string":
		return s.Format
	}
	return s.Type
}

func (d *doc) shapes(o *huma.OpenAPI) {
	d.tag(`<h2 id="shapes">shapes</h2>`)
	all := o.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		d.tag(`<h3 id="shape-%s"><code>%s</code></h3>`, name, name)
		d.tag("<table><tr><th>field</th><th>type</th><th>what</th></tr>")
		for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
			p := s.Properties[field]
			need := ""
			if slices.Contains(s.Required, field) {
				need = " (required)"
			}
			d.tag("<tr><td><code>%s</code></td><td>%s</td><td>%s</td></tr>", field, typeName(p)+need, strings.TrimSpace(p.Description+" "+choices(p)))
		}
		d.tag("</table>")
	}
}

func choices(s *huma.Schema) string {
	if len(s.Enum) == 0 {
		return ""
	}
	var out []string
	for _, e := range s.Enum {
		out = append(out, fmt.Sprint(e))
	}
	return "One of " + strings.Join(out, ", ") + "."
}
