package store

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Bucket is what is known of one limit of a CA; the planner does the sums.
type Bucket struct {
	Key    string // authority|account|limit|subject
	Name   string // the limit
	N      int    // so many come back in every Period, none if the limit is unknown
	Period time.Duration
	Burst  int       // N if zero
	FullAt time.Time // when it is full again
	Held   int       // promised to orders under way
	FreeAt time.Time // when those who wait for it get their turn; zero when none does
}

// spare reports a bucket that is as good as no row.
func (b *Bucket) spare(now time.Time) bool {
	return b.Held == 0 && b.FreeAt.IsZero() && !b.FullAt.After(now)
}

var buckets = table[Bucket]{"bucket", "limit", func(b *Bucket) []field {
	return []field{{"k", &b.Key}, {"name", &b.Name}, {"n", &b.N}, {"period_ms", span{&b.Period}}, {"burst", &b.Burst}, {"full_at", msUp{&b.FullAt}}, {"held", &b.Held}, {"free_at", msUp{&b.FreeAt}}}
}}

// LockBuckets reads the buckets of the keys, and keeps other nodes from reading
// them so until this transaction ends. A bucket that is not stored is full.
func (t *Tx) LockBuckets(ctx context.Context, keys []string) (map[string]Bucket, error) {
	out := make(map[string]Bucket, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	keys = slices.Compact(slices.Sorted(slices.Values(keys))) // always in one order, so that nodes do not wait in a circle
	args := make([]any, len(keys))
	for i, k := range keys {
		args[i], out[k] = k, Bucket{Key: k}
	}
	list, err := t.lockRows(ctx, args)
	for _, b := range list {
		out[b.Key] = b
		t.note(b)
	}
	return out, err
}

func (t *Tx) lockRows(ctx context.Context, keys []any) ([]Bucket, error) {
	if !t.pg {
		return buckets.list(ctx, t.Q, "WHERE k IN ("+marks(len(keys))+")", keys...)
	}
	rows := make([]string, len(keys))
	for i := range rows {
		rows[i] = fmt.Sprintf("($%d, '')", i+1)
	}
	return buckets.read(t.x.QueryContext(ctx, "INSERT INTO bucket (k, name) VALUES "+strings.Join(rows, ", ")+
		" ON CONFLICT (k) DO UPDATE SET held = bucket.held RETURNING "+buckets.cols("bucket."), keys...))
}

// note remembers how a bucket is stored, so that what does not change it is no
// write. PostgreSQL's empty rows, which only hold the lock, are not remembered.
func (t *Tx) note(b Bucket) {
	if t.stored == nil {
		t.stored = map[string]Bucket{}
	}
	if delete(t.stored, b.Key); b.Name != "" && !b.spare(t.now) {
		t.stored[b.Key] = b
	}
}

// SaveBuckets writes buckets that were locked, where they changed, and drops those
// that are as good as none.
func (t *Tx) SaveBuckets(ctx context.Context, list []Bucket) error {
	var gone, args []any
	var rows []string
	for i := range list {
		if is, ok := t.stored[list[i].Key]; ok && is == list[i] {
			continue
		}
		t.note(list[i])
		if list[i].spare(t.now) {
			gone = append(gone, list[i].Key)
			continue
		}
		var marks []string
		for _, f := range buckets.fields(&list[i]) {
			args = append(args, f.value())
			marks = append(marks, fmt.Sprintf("$%d", len(args)))
		}
		rows = append(rows, "("+strings.Join(marks, ", ")+")")
	}
	if len(gone) > 0 {
		if err := t.later(ctx, "DELETE FROM bucket WHERE k IN ("+marks(len(gone))+")", gone...); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return t.later(ctx, "INSERT INTO bucket ("+buckets.cols("")+") VALUES "+strings.Join(rows, ", ")+` ON CONFLICT (k) DO UPDATE SET name = excluded.name, n = excluded.n,
		period_ms = excluded.period_ms, burst = excluded.burst, full_at = excluded.full_at, held = excluded.held, free_at = excluded.free_at`, args...)
}

// Touch is one bucket that an order holds a token of.
type Touch struct {
	Key    string        `json:"k"`
	When   string        `json:"w"` // what the limit counts
	Free   bool          `json:"f,omitempty"`
	N      int           `json:"n"`
	Period time.Duration `json:"p"`
	Burst  int           `json:"b,omitempty"`
}

// Hold keeps what an order under way may still cost; nothing ends it.
func (t *Tx) Hold(ctx context.Context, order int64, touches []Touch) error {
	if len(touches) == 0 {
		return t.later(ctx, "DELETE FROM hold WHERE order_id = $1", order)
	}
	b, err := json.Marshal(touches)
	if err != nil {
		return err
	}
	return t.later(ctx, "INSERT INTO hold (order_id, touches) VALUES ($1, $2) ON CONFLICT (order_id) DO UPDATE SET touches = excluded.touches", order, string(b))
}

// HeldBy is what an order under way may still cost.
func (q Q) HeldBy(ctx context.Context, order int64) ([]Touch, error) {
	list, err := q.strings(ctx, "SELECT touches FROM hold WHERE order_id = $1", order)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	var out []Touch
	return out, json.Unmarshal([]byte(list[0]), &out)
}

// WaitFor puts a certificate off until its turn at a bucket comes. Any other
// write of the certificate takes it out of the room again.
func (t *Tx) WaitFor(ctx context.Context, c *certfleet.Certificate, b Bucket) error {
	if err := t.SaveCertificate(ctx, c); err != nil {
		return err
	}
	if _, err := t.change(ctx, "UPDATE certificate SET waits_for = $1 WHERE id = $2", b.Key, c.ID); err != nil {
		return err
	}
	return t.SaveBuckets(ctx, []Bucket{b})
}

// waited says that a bucket's room is not empty.
const waited = "EXISTS (SELECT 1 FROM certificate WHERE waits_for = bucket.k AND waits_for <> '' AND due_at > 0 AND state = 'active')"

// OpenRooms are the buckets whose waiting certificates may have a turn now.
func (q Q) OpenRooms(ctx context.Context, now time.Time, limit int) ([]Bucket, error) {
	return buckets.list(ctx, q, "WHERE free_at > 0 AND free_at <= $1 AND "+waited+" ORDER BY free_at, k LIMIT $2", now.UnixMilli(), limit)
}

// BucketsOf lists the buckets of one limit, the emptiest first.
func (q Q) BucketsOf(ctx context.Context, name string, limit int) ([]Bucket, error) {
	return buckets.list(ctx, q, "WHERE name = $1 ORDER BY full_at DESC LIMIT $2", name, limit)
}

// BucketsIn are the buckets of the keys as they stand, by key, without those that
// are full.
func (q Q) BucketsIn(ctx context.Context, keys []string) (map[string]Bucket, error) {
	out := make(map[string]Bucket, len(keys))
	for part := range slices.Chunk(keys, 500) {
		args := make([]any, len(part))
		for i, k := range part {
			args[i] = k
		}
		list, err := buckets.list(ctx, q, "WHERE k IN ("+marks(len(args))+") AND name <> ''", args...)
		if err != nil {
			return nil, err
		}
		for _, b := range list {
			out[b.Key] = b
		}
	}
	return out, nil
}

// Rooms counts the certificates that wait, by the bucket they wait for.
func (q Q) Rooms(ctx context.Context) (map[string]int64, error) {
	rows, err := q.x.QueryContext(ctx, "SELECT waits_for, count(*) FROM certificate WHERE waits_for <> '' AND due_at > 0 AND state = 'active' GROUP BY waits_for")
	if err != nil {
		return nil, explain(err, "")
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var k string
		var n int64
		if err := rows.Scan(&k, &n); err != nil {
			return nil, err
		}
		out[k] = n
	}
	return out, explain(rows.Err(), "")
}

// ClearLimit forgets what was counted and learned under a key, for a person who
// knows better, and lets in who waits for it. What orders under way hold stays.
func (t *Tx) ClearLimit(ctx context.Context, key string) error {
	learned, err := t.change(ctx, "DELETE FROM pause WHERE k = $1", key)
	if err != nil {
		return err
	}
	counted, err := t.change(ctx, "UPDATE bucket SET full_at = 0, free_at = CASE WHEN "+waited+" THEN CAST($1 AS BIGINT) ELSE 0 END WHERE k = $2", t.now.UnixMilli(), key)
	if err != nil {
		return err
	}
	if learned+counted == 0 {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("no limit is kept under %q", key), Advice: "see certfleet limits for the keys"}
	}
	t.Wake()
	return t.Event(ctx, certfleet.Event{Kind: "limit.cleared", Msg: key})
}

// ageLedger drops what tells nothing any more.
func (t *Tx) ageLedger(ctx context.Context, batch int) error {
	if _, err := t.change(ctx, "UPDATE bucket SET free_at = 0 WHERE free_at > 0 AND NOT "+waited); err != nil {
		return err
	}
	now := t.now.UnixMilli()
	if _, err := t.change(ctx, "DELETE FROM bucket WHERE k IN (SELECT k FROM bucket WHERE held = 0 AND free_at = 0 AND full_at <= $1 ORDER BY full_at LIMIT $2)", now, batch); err != nil {
		return err
	}
	_, err := t.change(ctx, "DELETE FROM pause WHERE until > 0 AND until <= $1", now)
	return err
}

// span stores a duration as milliseconds.
type span struct{ d *time.Duration }

// Scan reads milliseconds.
func (s span) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("scan a duration from %T", v)
	}
	*s.d = time.Duration(n) * time.Millisecond
	return nil
}

// Value is the number of milliseconds.
func (s span) Value() (driver.Value, error) { return s.d.Milliseconds(), nil }

// msUp stores a moment as milliseconds rounded up, so that no bucket is fuller
// for having been stored.
type msUp struct{ t *time.Time }

// Scan reads milliseconds.
func (m msUp) Scan(v any) error { return (&msField{m.t}).Scan(v) }

// Value is the number of milliseconds, rounded up.
func (m msUp) Value() (driver.Value, error) {
	if m.t.IsZero() {
		return int64(0), nil
	}
	return m.t.Add(time.Millisecond - 1).UnixMilli(), nil
}
