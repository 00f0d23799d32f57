package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
)

// A list of what belongs to certificates (orders, versions, deliveries, events)
// is read in one of two ways when it is narrowed by something of the
// certificates themselves, such as their labels. Few certificates lead to their
// rows, which are sorted. Where there are many, the list is walked in its own
// order and each row looks whether it belongs to one of them; such a page ends
// after that many rows were looked at, so that no request reads the whole fleet.
var (
	fewest = 1000
	looks  = 20_000
)

// carriers are the certificates that carry all labels, and how what belongs to
// them is listed.
type carriers struct {
	list []carried
	few  bool  // they are few: they lead to their rows
	down bool  // the list is newest first
	end  int64 // how far a walk goes: the id behind it, zero for to the end
}

// listed is what is listed, by whom and from where on.
type listed struct {
	table  string
	tenant int64
	after  Cursor
	down   bool // newest first
}

type carried struct {
	k, v string
	n    int64
}

// carriersOf counts how many certificates carry each label, as far as it matters,
// and says how far a walk may go.
func (q Q) carriersOf(ctx context.Context, l certfleet.Labels, in listed) (carriers, error) {
	c := carriers{down: in.down}
	for _, k := range slices.Sorted(maps.Keys(l)) {
		n, err := q.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM label WHERE kind = 'certificate' AND k = $1 AND v = $2 LIMIT $3) AS first", k, l[k], fewest+1)
		if err != nil {
			return c, err
		}
		c.list = append(c.list, carried{k, l[k], n})
	}
	slices.SortStableFunc(c.list, func(a, b carried) int { return int(a.n - b.n) })
	if len(c.list) == 0 {
		return c, nil
	}
	if c.few = c.list[0].n <= int64(fewest); c.few {
		return c, nil
	}
	var err error
	c.end, err = q.window(ctx, in)
	return c, err
}

// ids selects the certificates, those with the rarest label first.
func (c carriers) ids() (string, []any) {
	text := "SELECT l0.object_id FROM label l0 WHERE l0.kind = 'certificate' AND l0.k = ? AND l0.v = ?"
	args := []any{c.list[0].k, c.list[0].v}
	rest, more := carriers{list: c.list[1:]}.are("l0.object_id")
	return text + rest, append(args, more...)
}

// are asks of one certificate, in the words of SQL, whether it is one of them.
func (c carriers) are(id string) (text string, args []any) {
	for i, l := range c.list {
		a := fmt.Sprintf("m%d", i)
		text += " AND EXISTS (SELECT 1 FROM label " + a + " WHERE " + a + ".kind = 'certificate' AND " + a + ".object_id = " + id + " AND " + a + ".k = ? AND " + a + ".v = ?)"
		args = append(args, l.k, l.v)
	}
	return text, args
}

// carriedBy keeps to rows that belong to one of the certificates, within the
// window: lead leads from their ids (at %s) to the rows, one asks it of a row (at
// %s the question about its certificate, whose id is owner).
func (w *where) carriedBy(c carriers, id, lead, one, owner string) {
	if len(c.list) == 0 {
		return
	}
	if c.few {
		ids, args := c.ids()
		w.add(fmt.Sprintf(lead, ids), args...)
		return
	}
	text, args := c.are(owner)
	w.add(fmt.Sprintf(one, strings.TrimPrefix(text, " AND ")), args...)
	switch {
	case c.end == 0:
	case c.down:
		w.add(id+" > ?", c.end)
	default:
		w.add(id+" < ?", c.end)
	}
}

// sorted is the column to order by. The plus keeps SQLite from walking the whole
// list because it lies in that order already.
func (w *where) sorted(id string, c carriers) string {
	if c.few && !w.pg {
		return "+" + id
	}
	return id
}

// page is the end of the statement that lists a page, newest first. A walk goes over
// ids alone, for which an index is enough, and then to the rows of the page:
// PostgreSQL, which walks to the end of the window, read 20,000 whole rows before.
func (w *where) page(table string, c carriers, limit int) string {
	id := table + ".id"
	tail := w.sql() + " ORDER BY " + w.sorted(id, c) + " DESC" + w.limit(limit)
	if c.few || len(c.list) == 0 {
		return tail
	}
	return "WHERE " + id + " IN (SELECT " + id + " FROM " + table + " " + tail + ") ORDER BY " + id + " DESC"
}

// window is how far a walk may go: the id behind it, zero for to the end.
func (q Q) window(ctx context.Context, in listed) (int64, error) {
	w := where{pg: q.pg}
	order := "id"
	switch {
	case in.down && in.after.ID != 0:
		w.add("id < ?", in.after.ID)
	case !in.down:
		w.add("id > ?", in.after.ID)
	default:
		w.add("id > 0")
	}
	if in.down {
		order = "id DESC"
	}
	if in.table != "authz" {
		w.tenant(in.table, in.tenant, false)
	}
	return q.number(ctx, "SELECT coalesce((SELECT id FROM "+in.table+w.sql()+" ORDER BY "+order+fmt.Sprintf(" LIMIT 1 OFFSET %d), 0)", looks), w.args...)
}

// after is the cursor behind a page: behind its last row when it is full, else
// behind the window. The window's end itself belongs to the next page.
func (c carriers) after(full Cursor) Cursor {
	switch {
	case full != Cursor{} || c.end == 0:
		return full
	case c.down:
		return Cursor{ID: c.end + 1}
	}
	return Cursor{ID: c.end - 1}
}

// WhichCarry are those of the certificates that carry all labels.
func (q Q) WhichCarry(ctx context.Context, ids []int64, l certfleet.Labels) (map[int64]bool, error) {
	n, out := map[int64]int{}, map[int64]bool{}
	if len(ids) == 0 {
		return out, nil
	}
	for k, v := range l {
		err := q.pairs(ctx, "SELECT object_id, k FROM label WHERE kind = 'certificate' AND k = $1 AND v = $2 AND object_id IN ("+q.idsIn("$3")+")",
			[]any{k, v, q.ids(ids)}, func(id int64, _ string) { n[id]++ })
		if err != nil {
			return nil, err
		}
	}
	for id, has := range n {
		out[id] = has == len(l)
	}
	return out, nil
}

// CertificateLabels are the labels by which certificates are called.
func (q Q) CertificateLabels(ctx context.Context, ids []int64) (map[int64]string, error) {
	out := make(map[int64]string, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	err := q.pairs(ctx, "SELECT id, label FROM certificate WHERE id IN ("+q.idsIn("$1")+")", []any{q.ids(ids)}, func(id int64, label string) { out[id] = label })
	return out, err
}
