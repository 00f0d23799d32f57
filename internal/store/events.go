package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

var events = table[certfleet.Event]{"event", "event", eventFields}
var settled = table[certfleet.Event]{"event_settled", "event", eventFields}

func eventFields(e *certfleet.Event) []field {
	return []field{
		{"id", &e.ID}, {"xact", &e.Xact}, {"tenant_id", &e.Tenant}, {"at", ms(&e.At)}, {"kind", &e.Kind}, {"certificate_id", ref(&e.CertificateID)},
		{"order_id", ref(&e.OrderID)}, {"version_id", ref(&e.VersionID)}, {"target_id", ref(&e.TargetID)}, {"actor", &e.Actor}, {"msg", &e.Msg}, {"data", doc(&e.Data)},
	}
}

// Event writes what happened, in the transaction that made it so.
func (t *Tx) Event(ctx context.Context, e certfleet.Event) error {
	return t.later(ctx, addEvent, t.eventArgs(&e)...)
}

// NumberedEvent is Event for whoever must tell the event's id.
func (t *Tx) NumberedEvent(ctx context.Context, e certfleet.Event) (id int64, err error) {
	err = t.x.QueryRowContext(ctx, addEvent+" RETURNING id", t.eventArgs(&e)...).Scan(&id)
	return id, explain(err, "")
}

const addEvent = `INSERT INTO event (tenant_id, at, kind, certificate_id, order_id, version_id, target_id, actor, msg, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

func (t *Tx) eventArgs(e *certfleet.Event) []any {
	return []any{orDefault(e.Tenant), t.now.UnixMilli(), e.Kind, ref(&e.CertificateID), ref(&e.OrderID), ref(&e.VersionID), ref(&e.TargetID), t.actor, e.Msg, doc(&e.Data)}
}

// EventCursor is how far a reader of events has come. On PostgreSQL the ids of
// events are not in the order of their commits, so the writing transaction
// comes first.
type EventCursor struct {
	Xact int64
	ID   int64
}

// EventsAfter lists events behind the cursor, oldest first, that no running
// transaction can still come before.
func (q Q) EventsAfter(ctx context.Context, tenant int64, c EventCursor, limit int) ([]certfleet.Event, error) {
	if !q.pg {
		c.Xact = 0 // a cursor that was made on PostgreSQL, before a restore
	}
	list, err := q.eventsAfter(ctx, tenant, c, limit)
	if err != nil || len(list) > 0 || c.Xact == 0 {
		return list, err
	}
	// No transaction here has come as far as the cursor: it was made by another
	// server, before a restore. Its id still holds.
	next, err := q.number(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
	if err != nil || c.Xact < next {
		return nil, err
	}
	return q.eventsAfter(ctx, tenant, EventCursor{ID: c.ID}, limit)
}

func (q Q) eventsAfter(ctx context.Context, tenant int64, c EventCursor, limit int) ([]certfleet.Event, error) {
	return settled.list(ctx, q, "WHERE (xact, id) > ($1, $2) AND tenant_id = $3 ORDER BY xact, id LIMIT $4", c.Xact, c.ID, orDefault(tenant), page(limit))
}

// LastEvent is the cursor behind everything settled now.
func (q Q) LastEvent(ctx context.Context) (EventCursor, error) {
	list, err := settled.list(ctx, q, "ORDER BY xact DESC, id DESC LIMIT 1")
	if err != nil || len(list) == 0 {
		return EventCursor{}, err
	}
	return EventCursor{list[0].Xact, list[0].ID}, nil
}

// EventFilter narrows a list of events.
type EventFilter struct {
	Tenant        int64
	CertificateID int64
	Kind          string
	Since         time.Time
	Labels        certfleet.Labels // of the certificates
	After         Cursor
	Limit         int
}

// Events lists one page, newest first.
func (q Q) Events(ctx context.Context, f EventFilter) ([]certfleet.Event, Cursor, error) {
	by, err := q.carriersOf(ctx, f.Labels, listed{"event", f.Tenant, f.After, true})
	if err != nil {
		return nil, Cursor{}, err
	}
	w := where{pg: q.pg}
	w.tenant("event", f.Tenant, f.CertificateID != 0 || by.few)
	w.carriedBy(by, "event.id", "event.certificate_id IN (%s)", "%s", "event.certificate_id")
	if f.CertificateID != 0 {
		w.add("event.certificate_id = ?", f.CertificateID)
	}
	if f.Kind != "" {
		w.add("event.kind = ?", f.Kind)
	}
	if !f.Since.IsZero() {
		w.add("event.at >= ?", f.Since.UnixMilli())
	}
	if f.After.ID != 0 {
		w.add("event.id < ?", f.After.ID)
	}
	list, err := events.list(ctx, q, w.sql()+" ORDER BY "+w.sorted("event.id", by)+" DESC"+w.limit(f.Limit), w.args...)
	return list, by.after(next(list, f.Limit, func(e *certfleet.Event) Cursor { return Cursor{0, e.ID} })), err
}
