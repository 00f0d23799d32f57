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
	conds []string
	args  []any
}

func (w *where) add(cond string, args ...any) {
	for _, a := range args {
		w.args = append(w.args, a)
		cond = strings.Replace(cond, "?", fmt.Sprintf("$%d", len(w.args)), 1)
	}
	w.conds = append(w.conds, cond)
}

func (w *where) sql() string {
	if len(w.conds) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.conds, " AND ")
}

// labels wants every one of them; kind is our own word, never a stranger's.
func (w *where) labels(kind, id string, l certfleet.Labels) {
	for _, k := range slices.Sorted(maps.Keys(l)) {
		w.add(id+" IN (SELECT object_id FROM label WHERE kind = '"+kind+"' AND k = ? AND v = ?)", k, l[k])
	}
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

func (w *where) certificateState(state string) {
	switch state {
	case "":
		w.add("certificate.state <> 'removed'")
	case "all":
	case "failing":
		w.add("certificate.failures > 0 AND certificate.state <> 'removed'")
	case "due":
		w.add("certificate.due_at > 0")
	case "none":
		w.add("certificate.version_id IS NULL AND certificate.state <> 'removed'")
	default:
		w.add("certificate.state = ?", state)
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
