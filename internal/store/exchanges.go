package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// exchangeRow is an Exchange as it lies in the table.
type exchangeRow struct {
	certfleet.Exchange
	us int64
}

var exchanges = table[exchangeRow]{"exchange", "exchange", func(x *exchangeRow) []field {
	return []field{
		{"id", &x.ID}, {"order_id", ref(&x.OrderID)}, {"account_id", ref(&x.AccountID)}, {"authority_id", ref(&x.AuthorityID)}, {"at", ms(&x.At)},
		{"kind", &x.Kind}, {"method", &x.Method}, {"url", &x.URL}, {"status", &x.Status}, {"problem", &x.Problem}, {"retry_after", &x.RetryAfter}, {"took_us", &x.us},
	}
}}

// mostExchanges bounds how many exchanges one statement writes.
const mostExchanges = 50

// AddExchanges keeps what was said with a CA, and counts it. Nodes of one
// PostgreSQL wait for each other at the counts, so it comes last in a
// transaction, and the counts always in one order.
func (t *Tx) AddExchanges(ctx context.Context, list []certfleet.Exchange) error {
	n := map[ExchangeCount]int64{}
	for part := range slices.Chunk(list, mostExchanges) {
		var args []any
		for _, x := range part {
			row := exchangeRow{x, x.Took.Microseconds()}
			for _, f := range exchanges.fields(&row)[1:] {
				args = append(args, f.value())
			}
			n[ExchangeCount{AuthorityID: x.AuthorityID, AccountID: x.AccountID, Kind: x.Kind, Status: x.Status, Day: x.At.UTC().Format(time.DateOnly)}]++
		}
		if err := t.later(ctx, rowsOf(exchanges.insertOf(exchanges.fields(&exchangeRow{})), len(part)), args...); err != nil {
			return fmt.Errorf("add exchanges: %w", err)
		}
	}
	return t.countExchanges(ctx, n)
}

func (t *Tx) countExchanges(ctx context.Context, n map[ExchangeCount]int64) error {
	if len(n) == 0 {
		return nil
	}
	var args []any
	for _, c := range slices.SortedFunc(maps.Keys(n), ExchangeCount.compare) {
		args = append(args, c.AuthorityID, c.AccountID, c.Kind, c.Status, c.Day, n[c])
	}
	return t.later(ctx, rowsOf("INSERT INTO exchange_count (authority_id, account_id, kind, status, day, n) VALUES ($1, $2, $3, $4, $5, $6)", len(n))+
		" ON CONFLICT (authority_id, account_id, kind, status, day) DO UPDATE SET n = exchange_count.n + excluded.n", args...)
}

// rowsOf is an insert of one row made one of n rows.
func rowsOf(insert string, n int) string {
	head, row, _ := strings.Cut(insert, "VALUES ")
	each := strings.Count(row, "$")
	rows := make([]string, n)
	for i := range rows {
		ms := make([]string, each)
		for j := range ms {
			ms[j] = "$" + strconv.Itoa(i*each+j+1)
		}
		rows[i] = "(" + strings.Join(ms, ", ") + ")"
	}
	return head + "VALUES " + strings.Join(rows, ", ")
}

func (c ExchangeCount) compare(d ExchangeCount) int {
	return cmp.Or(cmp.Compare(c.AuthorityID, d.AuthorityID), cmp.Compare(c.AccountID, d.AccountID), cmp.Compare(c.Kind, d.Kind), cmp.Compare(c.Status, d.Status), cmp.Compare(c.Day, d.Day))
}

// ExchangesOf lists what was said about an order, oldest first.
func (q Q) ExchangesOf(ctx context.Context, order int64, limit int) ([]certfleet.Exchange, error) {
	rows, err := exchanges.list(ctx, q, "WHERE order_id = $1 ORDER BY id LIMIT $2", order, page(limit))
	out := make([]certfleet.Exchange, len(rows))
	for i, r := range rows {
		out[i] = r.Exchange
		out[i].Took = time.Duration(r.us) * time.Microsecond
	}
	return out, err
}

// ExchangeCount is how many requests of a kind got a status on a day.
type ExchangeCount struct {
	AuthorityID int64
	AccountID   int64
	Kind        string
	Status      int
	Day         string // YYYY-MM-DD, UTC
	N           int64
}

var exchangeCounts = table[ExchangeCount]{"exchange_count", "count", func(c *ExchangeCount) []field {
	return []field{{"authority_id", &c.AuthorityID}, {"account_id", &c.AccountID}, {"kind", &c.Kind}, {"status", &c.Status}, {"day", &c.Day}, {"n", &c.N}}
}}

// ExchangeCounts lists the counts since a day.
func (q Q) ExchangeCounts(ctx context.Context, since time.Time) ([]ExchangeCount, error) {
	return exchangeCounts.list(ctx, q, "WHERE day >= $1 ORDER BY day DESC, authority_id, account_id, kind, status LIMIT 5000", since.UTC().Format(time.DateOnly))
}

// Age removes what retention no longer keeps: exchanges before one moment,
// events before another. Changes and key openings stay. It does a batch and says
// whether there is more.
func (t *Tx) Age(ctx context.Context, exchangesBefore, eventsBefore time.Time, batch int) (more bool, err error) {
	n, err := t.change(ctx, "DELETE FROM exchange WHERE id IN (SELECT id FROM exchange WHERE at < $1 ORDER BY at LIMIT $2)", certfleet.Millis(exchangesBefore), batch)
	if err != nil {
		return false, err
	}
	m, err := t.change(ctx, "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE at < $1 ORDER BY at LIMIT $2)", certfleet.Millis(eventsBefore), batch)
	if err != nil {
		return false, err
	}
	if err := t.ageLedger(ctx, batch); err != nil {
		return false, err
	}
	_, err = t.change(ctx, "DELETE FROM idempotency WHERE at < $1", t.now.Add(-48*time.Hour).UnixMilli())
	return n == int64(batch) || m == int64(batch), err
}

// Pause keeps what a CA told us to wait for, under a key such as authority:3 or
// that of a limit; a zero until waits for a person.
func (t *Tx) Pause(ctx context.Context, key string, until time.Time, reason string) error {
	return t.later(ctx, `INSERT INTO pause (k, until, reason, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (k) DO UPDATE SET until = excluded.until, reason = excluded.reason, at = excluded.at`, key, certfleet.Millis(until), reason, t.now.UnixMilli())
}

// PausesOf lists those of the keys that hold now.
func (q Q) PausesOf(ctx context.Context, now time.Time, keys []string) ([]PauseRow, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	args := make([]any, len(keys), len(keys)+1)
	for i, k := range keys {
		args[i] = k
	}
	return pauses.list(ctx, q, fmt.Sprintf("WHERE k IN (%s) AND (until > $%d OR until = 0)", marks(len(keys)), len(keys)+1), append(args, now.UnixMilli())...)
}

// PausedUntil is when the latest of the keys frees, zero when none holds.
func (q Q) PausedUntil(ctx context.Context, now time.Time, keys ...string) (until time.Time, reason string, err error) {
	for _, k := range keys {
		list, err := pauses.list(ctx, q, "WHERE k = $1 AND until > $2", k, now.UnixMilli())
		if err != nil {
			return time.Time{}, "", err
		}
		for _, p := range list {
			if p.Until.After(until) {
				until, reason = p.Until, p.Reason
			}
		}
	}
	return until, reason, nil
}

// PauseRow is one thing a CA told us to wait for.
type PauseRow struct {
	Key    string
	Until  time.Time // zero waits for a person
	Reason string
	At     time.Time
}

var pauses = table[PauseRow]{"pause", "pause", func(p *PauseRow) []field {
	return []field{{"k", &p.Key}, {"until", ms(&p.Until)}, {"reason", &p.Reason}, {"at", ms(&p.At)}}
}}

// Pauses lists those that hold now.
func (q Q) Pauses(ctx context.Context, now time.Time) ([]PauseRow, error) {
	return pauses.list(ctx, q, "WHERE until > $1 OR until = 0 ORDER BY until", now.UnixMilli())
}
