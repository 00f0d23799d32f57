package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
)

// pageMost is the largest page that any list returns.
const pageMost = 1000

// where collects conditions and their arguments. A condition is written with ?
// for its arguments; they become $1, $2 ... in the order of adding.
type where struct {
	pg    bool
	joins []string
	conds []string
	args  []any
}

func (w *where) add(cond string, args ...any) { w.conds = append(w.conds, w.number(cond, args)) }

func (w *where) number(text string, args []any) string {
	for _, a := range args {
		w.args = append(w.args, a)
		text = strings.Replace(text, "?", fmt.Sprintf("$%d", len(w.args)), 1)
	}
	return text
}

// sql is everything between FROM and ORDER BY; there is always a condition.
func (w *where) sql() string {
	return strings.Join(w.joins, " ") + " WHERE " + strings.Join(w.conds, " AND ")
}

// join adds a table to read beside the listed one.
func (w *where) join(text string, args ...any) { w.joins = append(w.joins, w.number(text, args)) }

// tenant keeps to one tenant's rows. Where something else narrows the list, or
// orders it, the plus keeps SQLite's planner from walking all of the tenant's
// rows; PostgreSQL knows better, from its statistics.
func (w *where) tenant(table string, tenant int64, narrowed bool) {
	plus := ""
	if narrowed && !w.pg {
		plus = "+"
	}
	w.add(plus+table+".tenant_id = ?", orDefault(tenant))
}

// word wants a column to be one of few words. PostgreSQL must see which: of one
// that hardly any row has, no plan for any word finds the index.
func (w *where) word(col, word string) {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz_") != "" {
		w.add(col+" = ?", word) // a stranger's, which no row has
		return
	}
	w.add(col + " = '" + word + "'")
}

// labels wants every one of them; kind is our own word, never a stranger's. It
// returns the column to order by: the labels lie in the order of their objects,
// so that a page is a walk along one label.
func (w *where) labels(kind, id string, l certfleet.Labels) string {
	for i, k := range slices.Sorted(maps.Keys(l)) {
		a := fmt.Sprintf("l%d", i)
		w.join("JOIN label "+a+" ON "+a+".object_id = "+id+" AND "+a+".kind = '"+kind+"' AND "+a+".k = ? AND "+a+".v = ?", k, l[k])
	}
	if len(l) == 0 {
		return id
	}
	return "l0.object_id"
}

// after continues behind a cursor; order is the sorting column or empty.
func (w *where) after(order, id string, c Cursor) {
	switch {
	case c == Cursor{}:
	case order == "":
		w.add(id+" > ?", c.ID)
	default:
		w.add("("+order+", "+id+") > (?, ?)", c.At, c.ID)
	}
}

// beyond repeats the cursor on the listed table itself, where a label orders the
// page: PostgreSQL merges both and would read it from its first row.
func (w *where) beyond(id string, c Cursor) {
	if len(w.joins) > 0 && c.ID > 0 {
		w.add(id+" > ?", c.ID)
	}
}

func (w *where) certificateState(state string) {
	switch state {
	case "":
		w.add("certificate.state <> 'removed'")
	case "all":
	case "failing":
		w.add("certificate.failures > 0 AND certificate.state <> 'removed'")
	case "due":
		w.add("certificate.due_at > 0")
	case "external":
		w.add("certificate.state = 'paused' AND certificate.external <> ''")
	case "none":
		w.add("certificate.version_id IS NULL AND certificate.state <> 'removed'")
	default:
		w.word("certificate.state", state)
	}
}

// limit asks for the page; the bounds are ours, so the number is safe in the text.
func (w *where) limit(n int) string { return fmt.Sprintf(" LIMIT %d", page(n)) }

func page(n int) int {
	if n <= 0 {
		return 100
	}
	return min(n, pageMost)
}

// next is the cursor behind the page, zero when the list ended.
func next[T any](list []T, limit int, at func(*T) Cursor) Cursor {
	if len(list) < page(limit) {
		return Cursor{}
	}
	return at(&list[len(list)-1])
}

func orDefault(tenant int64) int64 {
	if tenant == 0 {
		return certfleet.DefaultTenant
	}
	return tenant
}
