package compat

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	_ "embed"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// cell is one word of a page.
type cell struct {
	Text, Link string
	Block      bool // of several lines
}

type table struct {
	Name string
	Head []string
	Rows [][]cell
}

type fact struct {
	Name  string
	Cells []cell
}

// thing is one object with what can be done about it.
type thing struct {
	Name  string
	Facts []fact
	Files []cell
	Lines []string
	Forms []cell
}

// view is a page: the same as the JSON of its route.
type view struct {
	Title, Problem, Advice string
	Menu                   []cell
	Tables                 []table
	Objects                []thing
	Form                   *formView
	Before, Next, JSON     string
}

// wantsPage reports whether a browser asks: who names text/html and no .json.
func wantsPage(q *http.Request) bool {
	return !strings.HasSuffix(q.URL.Path, ".json") && strings.Contains(q.Header.Get("Accept"), "text/html")
}

// html answers what JSON would say as a page, without a script. What may be posted
// is a form.
func (c *call) html(status int, v any) {
	post := "'none'"
	if _, is := v.(about); is {
		post = "'self'"
	}
	b, err := json.Marshal(v)
	var said map[string]any
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		err = d.Decode(&said)
	}
	var page bytes.Buffer
	if err == nil {
		shown := c.view(said)
		if a, is := v.(about); is {
			f := c.formOf(a)
			shown.Form, shown.Objects = &f, nil
		}
		err = pageTemplate.Execute(&page, shown)
	}
	if err != nil {
		http.Error(c.w, "this page cannot be shown; ask for it with .json", http.StatusInternalServerError)
		return
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action "+post+"; frame-ancestors 'none'")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(page.Bytes()) // the caller is gone, or reads it
}

func (c *call) view(said map[string]any) view {
	path := c.q.URL.EscapedPath()
	v := view{Title: strings.Trim(strings.TrimPrefix(c.q.URL.Path, c.prefix), "/"), JSON: strings.TrimRight(path, "/") + ".json"}
	for _, m := range menu {
		v.Menu = append(v.Menu, cell{Text: m, Link: c.prefix + "/" + m})
	}
	for _, key := range slices.Sorted(maps.Keys(said)) {
		c.put(&v, key, said[key])
	}
	if v.Problem != "" || v.Title == "" {
		v.JSON = ""
	}
	v.Title = cmp.Or(v.Title, "certificates, names and orders")
	return v
}

// put adds one member of the answer to its page.
func (c *call) put(v *view, key string, value any) {
	k, known := kindOfList(key)
	switch {
	case key == "pagination":
		c.turn(v, value)
	case key == "result": // the status says it
	case key == "message" || key == "error":
		v.Problem = plain(value)
	case key == "advice":
		v.Advice = plain(value)
	case key == "form_errors":
		o, _ := value.(map[string]any)
		v.Problem = plain(o["Error_Main"])
		v.Objects = append(v.Objects, c.thing(key, o))
	case key == "posts":
		v.Objects = append(v.Objects, thing{Name: "forms", Facts: []fact{{"forms", c.forms()}}})
	case known:
		v.Tables = append(v.Tables, c.table(key, k, rowsOf(value)))
	default:
		if o, is := value.(map[string]any); is {
			v.Objects = append(v.Objects, c.thing(key, o))
			return
		}
		v.Objects = append(v.Objects, thing{Name: key, Facts: []fact{{key, c.cells(key, value)}}})
	}
}

// turn says where the pages before and behind are.
func (c *call) turn(v *view, value any) {
	base := strings.TrimRight(strings.TrimSuffix(c.q.URL.EscapedPath(), "/"+c.q.PathValue("page")), "/")
	at, _ := value.(map[string]any)
	if n, err := strconv.Atoi(plain(at["page_next"])); err == nil {
		v.Next = base + "/" + strconv.Itoa(n)
	}
	if n, err := strconv.Atoi(plain(at["page"])); err == nil && n > 1 {
		v.Before = base + "/" + strconv.Itoa(n-1)
	}
}

// rowsOf are the objects of a list, whether it is an array or keyed by id.
func rowsOf(value any) (rows []map[string]any) {
	keyed, is := value.(map[string]any)
	if is {
		value = slices.Collect(maps.Values(keyed))
	}
	list, _ := value.([]any)
	for _, x := range list {
		if o, is := x.(map[string]any); is {
			rows = append(rows, o)
		}
	}
	if is {
		slices.SortFunc(rows, func(a, b map[string]any) int { return idOf(a) - idOf(b) })
	}
	return rows
}

func idOf(o map[string]any) int {
	n, _ := strconv.Atoi(plain(o["id"])) // none sorts as zero
	return n
}

func (c *call) table(name string, k kind, rows []map[string]any) table {
	t := table{Name: name, Head: k.columns}
	for _, o := range rows {
		var line []cell
		for _, col := range k.columns {
			one := c.joined(col, o[col])
			if col == "id" && k.path != "" && one.Text != "" {
				one.Link = c.prefix + k.path + one.Text
			}
			line = append(line, one)
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

func (c *call) thing(name string, o map[string]any) thing {
	k := kinds[name]
	t := thing{Name: name}
	for _, key := range slices.Sorted(maps.Keys(o)) {
		t.Facts = append(t.Facts, fact{key, c.cells(key, o[key])})
	}
	id := plain(o["id"])
	if id == "" {
		return t
	}
	for _, f := range k.files {
		t.Files = append(t.Files, cell{Text: f, Link: c.prefix + k.path + id + "/" + f})
	}
	t.Forms = c.formsOf(k.path, id)
	for _, l := range k.lines {
		t.Lines = append(t.Lines, strings.NewReplacer("{id}", id, "{name}", plain(o["name"]), "{domain_name}", plain(o["domain_name"])).Replace(l))
	}
	return t
}

// cells are the words of a value; what has a page of its own leads there.
func (c *call) cells(key string, value any) []cell {
	switch x := value.(type) {
	case []any:
		var out []cell
		for _, one := range x {
			out = append(out, c.cells(strings.TrimSuffix(key, "s"), one)...)
		}
		return out
	case map[string]any:
		if k, id := kindOf(key), plain(x["id"]); k.path != "" && id != "" {
			return []cell{{Text: id, Link: c.prefix + k.path + id}}
		}
		var words []string
		for _, key := range slices.Sorted(maps.Keys(x)) {
			if s := c.joined(key, x[key]).Text; s != "" {
				words = append(words, key+": "+s)
			}
		}
		return []cell{{Text: strings.Join(words, "; ")}}
	}
	s := plain(value)
	return []cell{{Text: s, Block: strings.Contains(s, "\n")}}
}

// kindOf is the kind that a member's key names, such as X509Certificates_5_primary.
func kindOf(key string) kind {
	if strings.HasPrefix(key, "certificate__latest_") {
		return kinds["X509Certificate"]
	}
	for name, k := range kinds {
		if key == name || strings.HasPrefix(key, name+"s_") {
			return k
		}
	}
	return kind{}
}

// joined is a value as one word.
func (c *call) joined(key string, value any) cell {
	all := c.cells(key, value)
	if len(all) == 1 {
		return all[0]
	}
	var words []string
	for _, one := range all {
		words = append(words, one.Text)
	}
	return cell{Text: strings.Join(words, ", ")}
}

// plain is a scalar as text, empty for none.
func plain(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
