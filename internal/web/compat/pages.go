package compat

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// object is a JSON object with the older system's field names.
type object = map[string]any

// both is a route under its path and under the same with .json. A path that ends
// in a wildcard takes the ending with it.
func both(r route) []route {
	if strings.HasSuffix(r.path, "}") {
		return []route{r}
	}
	twin := r
	twin.path += ".json"
	return []route{r, twin}
}

// get is a list or an object, with pages if the path has any.
func get(path string, do func(*call)) []route {
	return both(route{method: "GET", path: path, scope: certfleet.ScopeRead, page: true, do: do})
}

// list is a list and its pages. A filter that is not known is not there: the
// whole list in its place would be a wrong answer.
func list(path string, do func(*call)) []route {
	return append(get(path, do), get(path+"/{page}", func(c *call) {
		if n, err := strconv.Atoi(bare(c.q.PathValue("page"))); err != nil || n < 1 {
			c.missing()
			return
		}
		do(c)
	})...)
}

// post is an act that needs a scope.
func post(path string, scope certfleet.Scope, do func(*call), what string, fields ...string) []route {
	a := about{Instructions: []string{what}, Fields: map[string]string{}}
	for _, f := range fields {
		name, doc, _ := strings.Cut(f, ": ")
		a.Fields[name] = doc
	}
	return both(route{method: "POST", path: path, scope: scope, page: true, do: do, about: a})
}

// bare is a part of a path without its ending.
func bare(s string) string { return strings.TrimSuffix(s, ".json") }

// id is the object that the path means.
func (c *call) id() string { return bare(c.q.PathValue("id")) }

// number is id as a number; zero is nobody's.
func (c *call) number() int64 {
	n, _ := strconv.ParseInt(c.id(), 10, 64) // what is no number is zero
	return n
}

// success answers an object with its result.
func (c *call) success(o object) {
	out := object{"result": "success"}
	maps.Copy(out, o)
	c.json(http.StatusOK, out)
}

// show answers an object, or the error that kept it.
func (c *call) show(o object, err error) {
	if err != nil {
		c.fail(err)
		return
	}
	c.json(http.StatusOK, o)
}

// done answers what an act came to.
func (c *call) done(o object, err error) {
	if err != nil {
		c.fail(err)
		return
	}
	c.success(o)
}

// keyed is a list as an object with the ids as keys.
func keyed[T any](rows []T, of func(T) (int64, object)) object {
	out := object{}
	for _, r := range rows {
		id, o := of(r)
		out[strconv.FormatInt(id, 10)] = o
	}
	return out
}

// row is a list as an array.
func row[T any](rows []T, of func(T) (int64, object)) []object {
	out := make([]object, 0, len(rows))
	for _, r := range rows {
		_, o := of(r)
		out = append(out, o)
	}
	return out
}

// when is a time as the older system writes it, null for never.
func when(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.999999-07:00")
}

// or is an id, null for none.
func or(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

// text is a word, null for none.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// reference stands for key_pem_md5: scripts send it back to name a key. It is the
// first half of the SHA-256 of the public key; the PEM is never shown.
func reference(spki string) string { return spki[:min(32, len(spki))] }

// names splits a list of host names as forms have it.
func names(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
}
