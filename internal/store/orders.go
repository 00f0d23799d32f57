package store

import (
	"context"
	"time"

	"github.com/certfleet/certfleet"
)

var orders = table[certfleet.Order]{"orders", "order", func(o *certfleet.Order) []field {
	return []field{
		{"id", &o.ID}, {"tenant_id", &o.Tenant}, {"certificate_id", &o.CertificateID}, {"authority_id", &o.AuthorityID}, {"account_id", &o.AccountID},
		{"slot", &o.Slot}, {"state", &o.State}, {"manual", flag(&o.Manual)}, {"lane", &o.Lane}, {"url", &o.URL}, {"ca_status", &o.CAStatus},
		{"profile", &o.Profile}, {"names", nameList(&o.Names)}, {"replaces", ref(&o.Replaces)}, {"replaces_note", &o.ReplacesNote},
		{"key_id", ref(&o.KeyID)}, {"version_id", ref(&o.VersionID)}, {"attempts", &o.Attempts}, {"problem", &o.Problem},
		{"problem_type", &o.ProblemType}, {"advice", &o.Advice}, {"due_at", ms(&o.DueAt)}, {"owner", &o.Owner}, {"lease_until", ms(&o.LeaseUntil)},
		{"expires_at", ms(&o.ExpiresAt)}, {"placing_at", ms(&o.PlacingAt)}, {"created_at", ms(&o.CreatedAt)}, {"finished_at", ms(&o.FinishedAt)}, {"rev", &o.Rev},
	}
}}

// AddOrder stores a wanted order. A certificate has at most one live order a slot.
func (t *Tx) AddOrder(ctx context.Context, o *certfleet.Order) error {
	o.State = certfleet.OrderWanted
	o.CreatedAt = t.now
	if o.DueAt.IsZero() {
		o.DueAt = t.now
	}
	if err := orders.insert(ctx, t, o); err != nil {
		return err
	}
	t.Wake()
	return t.Event(ctx, certfleet.Event{Kind: "order.wanted", Tenant: o.Tenant, CertificateID: o.CertificateID, OrderID: o.ID, Msg: "an order is wanted (" + o.Lane.String() + ")"})
}

// SaveOrder writes an order where nobody else did meanwhile.
func (t *Tx) SaveOrder(ctx context.Context, o *certfleet.Order) error {
	return orders.saveLater(ctx, t, o, &o.Rev)
}

// Order reads one order.
func (q Q) Order(ctx context.Context, id int64) (*certfleet.Order, error) {
	return orders.one(ctx, q, "WHERE id = $1", id)
}

// LiveOrder is the order of a certificate that may still issue for the slot.
func (q Q) LiveOrder(ctx context.Context, certificate int64, slot certfleet.SlotKind) (*certfleet.Order, error) {
	return orders.one(ctx, q, "WHERE certificate_id = $1 AND slot = $2 AND state IN ('wanted', 'open')", certificate, string(slot))
}

// LastOrder is the newest order of a certificate, its backup's aside.
func (q Q) LastOrder(ctx context.Context, certificate int64) (*certfleet.Order, error) {
	return orders.one(ctx, q, "WHERE certificate_id = $1 AND slot <> 'backup' ORDER BY id DESC", certificate)
}

// ClaimOrder takes a due order for owner until the lease ends. The write repeats
// what made it due, so that of two nodes one wins.
func (t *Tx) ClaimOrder(ctx context.Context, o *certfleet.Order, owner string, until time.Time) error {
	was := *o
	err := t.laterOne(ctx, "claim order", "UPDATE orders SET owner = $1, lease_until = $2, rev = rev + 1 WHERE id = $3 AND rev = $4 AND lease_until <= $5 AND state IN ('wanted', 'open')",
		owner, until.UnixMilli(), o.ID, o.Rev, t.now.UnixMilli())
	if err == nil {
		o.Owner, o.LeaseUntil, o.Rev = owner, until, o.Rev+1
		t.undo = append(t.undo, func() { *o = was })
	}
	return err
}

// RenewOrder lengthens the claim of an order that its owner still works on. It
// leaves the revision alone, for the step that is under way.
func (t *Tx) RenewOrder(ctx context.Context, id int64, owner string, until time.Time) error {
	return t.laterOne(ctx, "renew the claim", "UPDATE orders SET lease_until = $1 WHERE id = $2 AND owner = $3 AND lease_until > 0", until.UnixMilli(), id, owner)
}

// ReleaseOrder gives a claimed order back, to be stepped again at due; only its
// owner can. When little is left meanwhile of what it renews, it goes on among the
// expiring.
func (t *Tx) ReleaseOrder(ctx context.Context, id int64, owner string, due time.Time) error {
	return t.later(ctx, `UPDATE orders SET owner = '', lease_until = 0, due_at = $1, rev = rev + 1, lane = CASE WHEN lane > 20 AND slot <> 'backup' AND EXISTS
		(SELECT 1 FROM certificate c WHERE c.id = orders.certificate_id AND c.urgent_at > 0 AND c.urgent_at <= $2) THEN 20 ELSE lane END WHERE id = $3 AND owner = $4`,
		certfleet.Millis(due), t.now.UnixMilli(), id, owner)
}

// Owners are those who hold orders or deliveries now.
func (q Q) Owners(ctx context.Context) ([]string, error) {
	return q.strings(ctx, "SELECT DISTINCT owner FROM orders WHERE lease_until > 0 UNION SELECT DISTINCT owner FROM delivery WHERE lease_until > 0")
}

// Holders are the owners whose claims on orders or deliveries have not run out.
func (q Q) Holders(ctx context.Context, now time.Time) ([]string, error) {
	return q.strings(ctx, "SELECT DISTINCT owner FROM orders WHERE lease_until > 0 AND lease_until > $1 UNION SELECT DISTINCT owner FROM delivery WHERE lease_until > 0 AND lease_until > $1", now.UnixMilli())
}

// FreeOwner gives back all that a dead owner held, so that it goes on at once.
func (t *Tx) FreeOwner(ctx context.Context, owner string) error {
	if _, err := t.change(ctx, "UPDATE orders SET owner = '', lease_until = 0, rev = rev + 1 WHERE lease_until > 0 AND owner = $1", owner); err != nil {
		return err
	}
	_, err := t.change(ctx, "UPDATE delivery SET owner = '', lease_until = 0, rev = rev + 1 WHERE lease_until > 0 AND owner = $1", owner)
	t.Wake()
	return err
}

// NextDue is the earliest moment at which anything is due, zero for never.
func (q Q) NextDue(ctx context.Context) (time.Time, error) {
	n, err := q.number(ctx, `SELECT coalesce(min(at), 0) FROM (
		`+nextTurns()+`
		UNION ALL SELECT min(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) FROM orders WHERE lease_until > 0 AND state IN ('wanted', 'open') AND manual = 0
		UNION ALL SELECT (SELECT due_at FROM delivery WHERE due_at > 0 AND lease_until = 0 ORDER BY due_at, id LIMIT 1)
		UNION ALL SELECT min(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) FROM delivery WHERE lease_until > 0 AND due_at > 0
		UNION ALL SELECT (SELECT ari_poll_at FROM version WHERE ari_poll_at > 0 ORDER BY ari_poll_at, id LIMIT 1)
		UNION ALL SELECT (SELECT due_at FROM backup WHERE due_at > 0 ORDER BY due_at, id LIMIT 1)
		UNION ALL SELECT min(due_at) FROM backup_fill
		UNION ALL SELECT (SELECT due_at FROM replacement WHERE due_at > 0 ORDER BY due_at, id LIMIT 1)
		UNION ALL SELECT (SELECT clean_due_at FROM challenge WHERE clean_due_at > 0 ORDER BY clean_due_at LIMIT 1)) AS d WHERE at IS NOT NULL`)
	return certfleet.FromMillis(n), err
}

// OrderFilter narrows a list of orders.
type OrderFilter struct {
	Tenant        int64
	State         string // wanted, open, issued, failed, live
	CertificateID int64
	AccountID     int64
	Labels        certfleet.Labels // of the certificates
	After         Cursor           // newest first: continues below this id
	Limit         int
}

// Orders lists one page, newest first.
func (q Q) Orders(ctx context.Context, f OrderFilter) ([]certfleet.Order, Cursor, error) {
	by, err := q.carriersOf(ctx, f.Labels, listed{"orders", f.Tenant, f.After, true})
	if err != nil {
		return nil, Cursor{}, err
	}
	w := where{pg: q.pg}
	w.tenant("orders", f.Tenant, f.CertificateID != 0 || f.AccountID != 0 || by.few)
	w.carriedBy(by, "orders.id", "orders.certificate_id IN (%s)", "%s", "orders.certificate_id")
	switch f.State {
	case "":
	case "live", "pending":
		w.add("orders.state IN ('wanted', 'open')")
	default:
		w.word("orders.state", f.State)
	}
	if f.CertificateID != 0 {
		w.add("orders.certificate_id = ?", f.CertificateID)
	}
	if f.AccountID != 0 {
		w.add("orders.account_id = ?", f.AccountID)
	}
	if f.After.ID != 0 {
		w.add("orders.id < ?", f.After.ID)
	}
	list, err := orders.list(ctx, q, w.page("orders", by, f.Limit), w.args...)
	return list, by.after(next(list, f.Limit, func(o *certfleet.Order) Cursor { return Cursor{0, o.ID} })), err
}
