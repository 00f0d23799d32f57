package compat

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// formView is a form as a page shows it: what may be posted where.
type formView struct {
	Action   string
	Says     []string
	Fields   []formField
	Examples []string // lines that do the same
}

type formField struct {
	Name, About string
	Options     []string
	Lines       bool // it may have several
}

// formOf is the form that an explanation tells of.
func (c *call) formOf(a about) formView {
	f := formView{Action: c.q.URL.EscapedPath(), Says: a.Instructions, Examples: a.Examples}
	for _, name := range slices.Sorted(maps.Keys(a.Fields)) {
		f.Fields = append(f.Fields, formField{name, a.Fields[name], a.Options[name], lines(name)})
	}
	return f
}

// postsTo reports whether a route takes a form below an object's own page, and how
// the rest of its path is.
func postsTo(r route, root string) (rest string, ok bool) {
	if r.method != http.MethodPost || strings.HasSuffix(r.path, ".json") || !r.page {
		return "", false
	}
	for _, id := range []string{"{id}/", "{domain}/"} {
		if rest, ok := strings.CutPrefix(r.path, root+id); ok {
			return rest, true
		}
	}
	return "", false
}

// formsOf are the forms about one object.
func (c *call) formsOf(root, id string) (all []cell) {
	for _, r := range c.h.routes() {
		if rest, ok := postsTo(r, root); ok && root != "" {
			all = append(all, cell{Text: rest, Link: c.prefix + root + id + "/" + rest})
		}
	}
	return all
}

// forms lead to those that are about no object.
func (c *call) forms() (all []cell) {
	for _, r := range c.h.routes() {
		if r.method == http.MethodPost && r.page && !strings.HasSuffix(r.path, ".json") && !strings.Contains(r.path, "{") {
			all = append(all, cell{Text: strings.TrimPrefix(r.path, "/"), Link: c.prefix + r.path})
		}
	}
	return all
}
