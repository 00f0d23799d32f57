package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/certfleet/certfleet"
)

var domains = table[certfleet.Domain]{"domain", "domain", func(d *certfleet.Domain) []field {
	return []field{
		{"id", &d.ID}, {"tenant_id", &d.Tenant}, {"name", &d.Name}, {"registered", &d.Registered}, {"source", &d.Source},
		{"challenge", &d.Challenge}, {"solver", &d.Solver}, {"parked_at", ms(&d.ParkedAt)}, {"parked_reason", &d.ParkedReason},
		{"labels", doc(&d.Labels)}, {"created_at", ms(&d.CreatedAt)},
	}
}}

// ensureDomain is the id of the name's domain, which is made when it is new.
func (t *Tx) ensureDomain(ctx context.Context, tenant int64, n certfleet.Name, source string) (int64, error) {
	var id int64
	err := t.x.QueryRowContext(ctx, "SELECT id FROM domain WHERE tenant_id = $1 AND name = $2", orDefault(tenant), n.String()).Scan(&id)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return id, explain(err, "")
	}
	d := certfleet.Domain{Tenant: tenant, Name: n, Registered: n.RegisteredDomain(), Source: source, CreatedAt: t.now}
	if err := domains.insert(ctx, t, &d); err != nil {
		return 0, err
	}
	for _, part := range nameParts(n.String()) {
		if _, err := t.change(ctx, "INSERT INTO name_part (part, domain_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", part, d.ID); err != nil {
			return 0, err
		}
	}
	return d.ID, nil
}

// nameParts are the tails of a name that begin at a label or after a hyphen:
// a-b.example.com can be found by a-b, b.example, example and com.
func nameParts(s string) []string {
	s = strings.TrimPrefix(s, "*.")
	parts := []string{s}
	for i, r := range s {
		if r == '.' || r == '-' || r == ':' {
			parts = append(parts, s[i+1:])
		}
	}
	return parts
}

// Domain reads one domain by name.
func (q Q) Domain(ctx context.Context, tenant int64, n certfleet.Name) (*certfleet.Domain, error) {
	return domains.one(ctx, q, "WHERE tenant_id = $1 AND name = $2", orDefault(tenant), n.String())
}

// DomainByID reads one domain.
func (q Q) DomainByID(ctx context.Context, id int64) (*certfleet.Domain, error) {
	return domains.one(ctx, q, "WHERE id = $1", id)
}

// SaveDomain writes how a domain is challenged, whether it is parked, and its labels.
func (t *Tx) SaveDomain(ctx context.Context, d *certfleet.Domain) error {
	err := t.changeOne(ctx, "UPDATE domain SET challenge = $1, solver = $2, parked_at = $3, parked_reason = $4, labels = $5 WHERE id = $6",
		string(d.Challenge), d.Solver, certfleet.Millis(d.ParkedAt), d.ParkedReason, doc(&d.Labels), d.ID)
	if err != nil {
		return err
	}
	return t.setLabels(ctx, "domain", d.ID, d.Labels)
}

// DomainFilter narrows a list of domains.
type DomainFilter struct {
	Tenant int64
	Part   string // part of the name, from the start of a label
	Labels certfleet.Labels
	After  Cursor
	Limit  int
}

// Domains lists one page by id.
func (q Q) Domains(ctx context.Context, f DomainFilter) ([]certfleet.Domain, Cursor, error) {
	w := where{pg: q.pg}
	id := w.labels("domain", "domain.id", f.Labels)
	w.tenant("domain", f.Tenant, f.Part != "" || len(f.Labels) > 0)
	if f.Part != "" {
		lo, hi := prefixRange(f.Part)
		w.add("domain.id IN (SELECT domain_id FROM name_part WHERE part >= ? AND part < ?)", lo, hi)
	}
	w.after("", id, f.After)
	w.beyond("domain.id", f.After)
	list, err := domains.list(ctx, q, w.sql()+" ORDER BY "+id+w.limit(f.Limit), w.args...)
	return list, next(list, f.Limit, func(d *certfleet.Domain) Cursor { return Cursor{0, d.ID} }), err
}

// prefixRange are the bounds of all texts that begin with s: names have no
// character above z.
func prefixRange(s string) (lo, hi string) {
	s = strings.TrimPrefix(certfleet.NamePart(s), "*.")
	return s, s + "{"
}

// setLabels mirrors an object's labels into the table that filters use.
func (t *Tx) setLabels(ctx context.Context, kind string, id int64, l certfleet.Labels) error {
	if _, err := t.change(ctx, "DELETE FROM label WHERE kind = $1 AND object_id = $2", kind, id); err != nil {
		return err
	}
	for k, v := range l {
		if _, err := t.change(ctx, "INSERT INTO label (kind, object_id, k, v) VALUES ($1, $2, $3, $4)", kind, id, k, v); err != nil {
			return err
		}
	}
	return nil
}
