package cli

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// json writes one value on one line.
func (p *program) json(v any) error {
	e := json.NewEncoder(p.Out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table collects rows and writes them aligned.
type table struct {
	p      *program
	header []string
	rows   [][]string
}

func (p *program) table(header ...string) *table { return &table{p: p, header: header} }

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.NewReplacer("\n", " ", "\t", " ", "\f", " ", "\v", " ").Replace(dash(c))
	}
	t.rows = append(t.rows, cells)
}

// flush writes the table. Colours are put on afterwards, because they have no width.
func (t *table) flush() error {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.header, "\t"))
	for _, r := range t.rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, " ")
		if i == 0 {
			fmt.Fprintln(t.p.Out, t.p.paint(bold, line))
			continue
		}
		fmt.Fprintln(t.p.Out, t.painted(lines[0], line, t.rows[i-1]))
	}
	return nil
}

// painted colours the cell below STATE or STATUS.
func (t *table) painted(header, line string, row []string) string {
	for i, h := range t.header {
		if (h != "STATE" && h != "STATUS") || tone(row[i]) == "" || !t.p.color {
			continue
		}
		at := strings.Index(header, h)
		r := []rune(line)
		end := at + utf8.RuneCountInString(row[i])
		if end <= len(r) {
			return string(r[:at]) + t.p.paint(tone(row[i]), string(r[at:end])) + string(r[end:])
		}
	}
	return line
}

// most is how many rows a list shows when nobody says how many.
const most = 100

// list writes what is yielded: a table of limit rows, or JSON lines. A limit
// below zero means most for a table and everything for JSON; zero everything.
func list[T any](p *program, all iter.Seq2[T, error], limit int, header []string, row func(T) []string) error {
	if limit < 0 {
		limit = most
		if p.flags.json {
			limit = 0
		}
	}
	t, n := p.table(header...), 0
	for v, err := range all {
		if err != nil {
			return err
		}
		if limit > 0 && n == limit {
			p.note("these are the first %d; --limit 0 shows all", limit)
			break
		}
		n++
		if p.flags.json {
			if err := p.json(v); err != nil {
				return err
			}
			continue
		}
		t.row(row(v)...)
	}
	if p.flags.json {
		return nil
	}
	if n == 0 {
		p.note("there are none")
		return nil
	}
	return t.flush()
}

// values yields a list that is there already.
func values[T any](items []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		for _, v := range items {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// fields writes names and values below one another; empty values are left out.
type fields struct {
	p    *program
	list [][2]string
}

func (p *program) fields() *fields { return &fields{p: p} }

func (f *fields) add(name, value string) *fields {
	if value != "" && value != "-" {
		f.list = append(f.list, [2]string{name, value})
	}
	return f
}

func (f *fields) flush() {
	wide := 0
	for _, l := range f.list {
		wide = max(wide, len(l[0]))
	}
	for _, l := range f.list {
		first, _, _ := strings.Cut(l[1], " ")
		value := l[1]
		if c := tone(first); c != "" && (l[0] == "state" || l[0] == "status") {
			value = f.p.paint(c, first) + strings.TrimPrefix(l[1], first)
		}
		value = strings.ReplaceAll(value, "\n", "\n"+strings.Repeat(" ", wide+2))
		fmt.Fprintf(f.p.Out, "%s%s\n", f.p.paint(bold, fmt.Sprintf("%-*s", wide+2, l[0])), value)
	}
}

// title begins another part of a long answer.
func (p *program) title(s string) { fmt.Fprintf(p.Out, "\n%s\n", p.paint(bold, s)) }
