package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// What a batch of deliveries reads and writes, in one round trip each.

// KeysByID reads keys.
func (q Q) KeysByID(ctx context.Context, ids []int64) (map[int64]*certfleet.Key, error) {
	return byID(ctx, q, keys, ids, func(k *certfleet.Key) int64 { return k.ID })
}

// Generations are the numbers under which versions are delivered, of those that
// have another than their id, see Generation.
func (q Q) Generations(ctx context.Context, versions []int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	rows, err := q.x.QueryContext(ctx, "SELECT version_id, n FROM generation WHERE version_id IN ("+q.idsIn("$1")+")", q.ids(versions))
	if err != nil {
		return nil, explain(err, "")
	}
	defer rows.Close()
	for rows.Next() {
		var version, n int64
		if err := rows.Scan(&version, &n); err != nil {
			return nil, err
		}
		out[version] = max(n, version)
	}
	return out, explain(rows.Err(), "")
}

// LastReceipts are by certificate what LastReceipt is for one at the target.
func (q Q) LastReceipts(ctx context.Context, certificates []int64, target int64) (map[int64]*certfleet.Delivery, error) {
	list, err := deliveries.list(ctx, q, `WHERE id IN (SELECT (SELECT d.id FROM delivery d WHERE d.certificate_id = c.id AND d.target_id = $1 AND d.receipt IS NOT NULL ORDER BY d.sent_at DESC, d.version_id DESC LIMIT 1)
		FROM certificate c WHERE c.id IN (`+q.idsIn("$2")+`))`, target, q.ids(certificates))
	out := make(map[int64]*certfleet.Delivery, len(list))
	for i := range list {
		out[list[i].CertificateID] = &list[i]
	}
	return out, err
}

// KeysOpened is KeyOpened for many; a key that is named twice was opened twice.
func (t *Tx) KeysOpened(ctx context.Context, keys []int64, reason string) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := t.change(ctx, `INSERT INTO key_opening (key_id, actor, reason, hour, n) SELECT id, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), count(*) FROM (`+t.idsIn("$1")+`) AS opened WHERE id > 0 GROUP BY id
		ON CONFLICT (key_id, hour, actor, reason) DO UPDATE SET n = key_opening.n + excluded.n`, t.ids(keys), t.actor, reason, t.now.Truncate(time.Hour).UnixMilli())
	return err
}

// Events is Event for many, in their order.
func (t *Tx) Events(ctx context.Context, list []certfleet.Event) error {
	for ; len(list) >= together; list = list[together:] {
		var args []any
		for i := range list[:together] {
			args = append(args, t.eventArgs(&list[i])...)
		}
		if _, err := t.change(ctx, addEvents, args...); err != nil {
			return err
		}
	}
	for _, e := range list {
		if err := t.Event(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// addEvents is addEvent for as many as travel together.
var addEvents = func() string {
	const fields = 10
	into, _, _ := strings.Cut(addEvent, "VALUES")
	rows := make([]string, together)
	for i := range rows {
		row := make([]string, fields)
		for j := range row {
			row[j] = "$" + strconv.Itoa(i*fields+j+1)
		}
		rows[i] = "(" + strings.Join(row, ", ") + ")"
	}
	return into + "VALUES " + strings.Join(rows, ", ")
}()
