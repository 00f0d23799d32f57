package store

import (
	"context"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Blocked is what is never to be ordered. Kind says how the pattern is meant: a
// name itself, a registered domain with all below it, or a suffix with all below it.
type Blocked struct {
	Tenant    int64
	Kind      string // name, domain or suffix
	Pattern   string
	Note      string
	Actor     string
	CreatedAt time.Time
}

var blocked = table[Blocked]{"blocked", "entry of the blocklist", func(b *Blocked) []field {
	return []field{{"tenant_id", &b.Tenant}, {"kind", &b.Kind}, {"pattern", &b.Pattern}, {"note", &b.Note}, {"actor", &b.Actor}, {"created_at", ms(&b.CreatedAt)}}
}}

// Block puts an entry on the blocklist, or changes its note.
func (t *Tx) Block(ctx context.Context, b *Blocked) error {
	b.Tenant, b.Actor, b.CreatedAt = orDefault(b.Tenant), t.actor, t.now
	var args []any
	for _, f := range blocked.fields(b) {
		args = append(args, f.value())
	}
	_, err := t.change(ctx, "INSERT INTO blocked ("+blocked.cols("")+") VALUES ("+marks(len(args))+") ON CONFLICT (tenant_id, kind, pattern) DO UPDATE SET note = excluded.note", args...)
	if err != nil {
		return err
	}
	return t.Event(ctx, certfleet.Event{Kind: "blocklist.added", Tenant: b.Tenant, Msg: b.Kind + " " + b.Pattern})
}

// Unblock takes an entry from the blocklist.
func (t *Tx) Unblock(ctx context.Context, b Blocked) error {
	n, err := t.change(ctx, "DELETE FROM blocked WHERE tenant_id = $1 AND kind = $2 AND pattern = $3", orDefault(b.Tenant), b.Kind, b.Pattern)
	if err != nil {
		return err
	}
	if n == 0 {
		return &certfleet.Error{Kind: certfleet.NotFound, Msg: "the blocklist has no " + b.Kind + " " + b.Pattern, Advice: "see certfleet blocklist for what it has"}
	}
	return t.Event(ctx, certfleet.Event{Kind: "blocklist.removed", Tenant: b.Tenant, Msg: b.Kind + " " + b.Pattern})
}

// Blocklist lists a tenant's entries.
func (q Q) Blocklist(ctx context.Context, tenant int64) ([]Blocked, error) {
	return blocked.list(ctx, q, "WHERE tenant_id = $1 ORDER BY kind, pattern", orDefault(tenant))
}

// BlockedBy is the entry that forbids a name, or NotFound. A wildcard is
// forbidden as what it is written over.
func (q Q) BlockedBy(ctx context.Context, tenant int64, n certfleet.Name) (*Blocked, error) {
	args := []any{orDefault(tenant), n.Base(), n.RegisteredDomain()}
	for tail := n.Base(); tail != ""; _, tail, _ = strings.Cut(tail, ".") {
		args = append(args, tail)
	}
	return blocked.one(ctx, q, "WHERE tenant_id = $1 AND (kind = 'name' AND pattern = $2 OR kind = 'domain' AND pattern = $3 OR kind = 'suffix' AND pattern IN ("+
		strings.TrimPrefix(marks(len(args)), marks(3)+", ")+"))", args...)
}
