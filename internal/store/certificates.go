package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

var certificates = table[certfleet.Certificate]{"certificate", "certificate", func(c *certfleet.Certificate) []field {
	return []field{
		{"id", &c.ID}, {"tenant_id", &c.Tenant}, {"label", &c.Label}, {"names", nameList(&c.Names)}, {"set_key", setKey{&c.Names}},
		{"policy_id", &c.PolicyID}, {"labels", doc(&c.Labels)}, {"state", &c.State}, {"due_at", ms(&c.DueAt)}, {"due_reason", &c.DueReason},
		{"lane", &c.Lane}, {"urgent_at", ms(&c.UrgentAt)}, {"share", shareOf{&c.Labels}}, {"waits_for", nobody{}}, {"failures", &c.Failures}, {"problem", &c.Problem}, {"advice", &c.Advice}, {"failed_at", ms(&c.FailedAt)},
		{"version_id", ref(&c.VersionID)}, {"not_after", ms(&c.NotAfter)}, {"created_at", ms(&c.CreatedAt)}, {"rev", &c.Rev},
		{"external", &c.External}, {"external_at", ms(&c.ExternalAt)},
	}
}}

// AddCertificate stores a new certificate with its domains, targets and labels.
// It opens no order: DueAt says when that happens.
func (t *Tx) AddCertificate(ctx context.Context, c *certfleet.Certificate, source string) error {
	if c.State == "" {
		c.State = certfleet.Active
	}
	c.CreatedAt = t.now
	if err := certificates.insert(ctx, t, c); err != nil {
		return err
	}
	if err := t.linkNames(ctx, c, source); err != nil {
		return err
	}
	if err := t.setTargets(ctx, c); err != nil {
		return err
	}
	if err := t.setLabels(ctx, "certificate", c.ID, c.Labels); err != nil {
		return err
	}
	return t.Event(ctx, certfleet.Event{Kind: "certificate.added", Tenant: c.Tenant, CertificateID: c.ID, Msg: "asked for " + describe(c.Names)})
}

func describe(names []certfleet.Name) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more names", names[0], len(names)-1)
	}
	return strings.Join(certfleet.Strings(names), ", ")
}

// SaveCertificate writes a certificate's own row. Names, targets and labels
// change through ReplaceCertificate.
func (t *Tx) SaveCertificate(ctx context.Context, c *certfleet.Certificate) error {
	return certificates.saveLater(ctx, t, c, &c.Rev)
}

// ReplaceCertificate writes a certificate with new names, targets and labels.
func (t *Tx) ReplaceCertificate(ctx context.Context, c *certfleet.Certificate, source string) error {
	if err := t.SaveCertificate(ctx, c); err != nil {
		return err
	}
	if _, err := t.change(ctx, "DELETE FROM certificate_name WHERE certificate_id = $1", c.ID); err != nil {
		return err
	}
	if err := t.linkNames(ctx, c, source); err != nil {
		return err
	}
	if err := t.setTargets(ctx, c); err != nil {
		return err
	}
	return t.setLabels(ctx, "certificate", c.ID, c.Labels)
}

func (t *Tx) linkNames(ctx context.Context, c *certfleet.Certificate, source string) error {
	for _, n := range c.Names {
		id, err := t.ensureDomain(ctx, c.Tenant, n, source)
		if err != nil {
			return err
		}
		if _, err := t.change(ctx, "INSERT INTO certificate_name (certificate_id, domain_id) VALUES ($1, $2)", c.ID, id); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) setTargets(ctx context.Context, c *certfleet.Certificate) error {
	if _, err := t.change(ctx, "DELETE FROM certificate_target WHERE certificate_id = $1", c.ID); err != nil {
		return err
	}
	for _, label := range slices.Compact(slices.Sorted(slices.Values(c.Targets))) {
		n, err := t.change(ctx, "INSERT INTO certificate_target (certificate_id, target_id) SELECT CAST($1 AS BIGINT), id FROM target WHERE tenant_id = $2 AND label = $3", c.ID, orDefault(c.Tenant), label)
		if err != nil {
			return err
		}
		if n == 0 {
			return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("target %q does not exist", label), Advice: "create it first, or see certfleet targets for what there is"}
		}
	}
	return nil
}

// Certificate reads one certificate with its policy's and targets' labels.
func (q Q) Certificate(ctx context.Context, id int64) (*certfleet.Certificate, error) {
	c, err := certificates.one(ctx, q, "WHERE id = $1", id)
	if err != nil {
		return nil, err
	}
	return c, q.decorate(ctx, c)
}

// CertificateByLabel reads one certificate by its label.
func (q Q) CertificateByLabel(ctx context.Context, tenant int64, label string) (*certfleet.Certificate, error) {
	c, err := certificates.one(ctx, q, "WHERE tenant_id = $1 AND label = $2", orDefault(tenant), label)
	if err != nil {
		return nil, err
	}
	return c, q.decorate(ctx, c)
}

// CertificatesOf lists the certificates that want the name, removed ones last; of
// more names those of the first come first, and each once.
func (q Q) CertificatesOf(ctx context.Context, tenant int64, name certfleet.Name, more ...certfleet.Name) ([]certfleet.Certificate, error) {
	args, places := []any{orDefault(tenant), name.String()}, "$2"
	for _, n := range more {
		args = append(args, n.String())
		places += fmt.Sprintf(", $%d", len(args))
	}
	list, err := certificates.list(ctx, q, `JOIN certificate_name cn ON cn.certificate_id = certificate.id JOIN domain d ON d.id = cn.domain_id
		WHERE d.tenant_id = $1 AND d.name IN (`+places+`) ORDER BY CASE d.name WHEN $2 THEN 0 ELSE 1 END, CASE certificate.state WHEN 'removed' THEN 1 ELSE 0 END, certificate.id LIMIT 100`, args...)
	if err != nil {
		return nil, err
	}
	seen := map[int64]bool{}
	list = slices.DeleteFunc(list, func(c certfleet.Certificate) bool {
		was := seen[c.ID]
		seen[c.ID] = true
		return was
	})
	return list, q.decorateAll(ctx, list)
}

// decorate fills in what lies in other tables.
func (q Q) decorate(ctx context.Context, c *certfleet.Certificate) error {
	list := []certfleet.Certificate{*c}
	err := q.decorateAll(ctx, list)
	*c = list[0]
	return err
}

// decorateAll fills a page with two questions, however long it is.
func (q Q) decorateAll(ctx context.Context, list []certfleet.Certificate) error {
	if len(list) == 0 {
		return nil
	}
	at := make(map[int64]*certfleet.Certificate, len(list))
	ids, policies := make([]int64, len(list)), make([]int64, len(list))
	for i := range list {
		at[list[i].ID], ids[i], policies[i] = &list[i], list[i].ID, list[i].PolicyID
	}
	err := q.pairs(ctx, "SELECT ct.certificate_id, t.label FROM certificate_target ct JOIN target t ON t.id = ct.target_id WHERE ct.certificate_id IN ("+q.idsIn("$1")+") ORDER BY t.label",
		[]any{q.ids(ids)}, func(id int64, label string) { at[id].Targets = append(at[id].Targets, label) })
	if err != nil {
		return err
	}
	labels := map[int64]string{}
	err = q.pairs(ctx, "SELECT id, label FROM policy WHERE id IN ("+q.idsIn("$1")+")", []any{q.ids(policies)}, func(id int64, label string) { labels[id] = label })
	for _, c := range at {
		c.Policy = labels[c.PolicyID]
	}
	return err
}

// marks are the places of n arguments.
func marks(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(out, ", ")
}

// pairs hands on rows of an id and a text.
func (q Q) pairs(ctx context.Context, query string, args []any, each func(int64, string)) error {
	rows, err := q.x.QueryContext(ctx, query, args...)
	if err != nil {
		return explain(err, "")
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var s string
		if err := rows.Scan(&id, &s); err != nil {
			return err
		}
		each(id, s)
	}
	return explain(rows.Err(), "")
}

// strings lists one text column.
func (q Q) strings(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := q.x.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err, "")
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, explain(rows.Err(), "")
}

// number reads one integer.
func (q Q) number(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := q.x.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, explain(err, "")
}

// DueCertificates are those whose next order should open by now, most urgent first.
func (q Q) DueCertificates(ctx context.Context, now time.Time, limit int) ([]certfleet.Certificate, error) {
	return certificates.list(ctx, q, "WHERE due_at > 0 AND due_at <= $1 AND state <> 'parked' ORDER BY due_at, id LIMIT $2", now.UnixMilli(), limit)
}

// DueParked are the parked certificates whose names should be looked at by now.
func (q Q) DueParked(ctx context.Context, now time.Time, limit int) ([]certfleet.Certificate, error) {
	return certificates.list(ctx, q, "WHERE state = 'parked' AND due_at > 0 AND due_at <= $1 ORDER BY due_at, id LIMIT $2", now.UnixMilli(), limit)
}

// CertificateFilter narrows a list; zero fields do not.
type CertificateFilter struct {
	Tenant        int64
	State         string // active, paused, external (somebody else renews it), parked, removed, failing, due, none (no version yet)
	DueBefore     time.Time
	ExpiresBefore time.Time
	Issuer        string // part of its name, from the start of a word
	Profile       string
	Policy        string
	Target        string
	Labels        certfleet.Labels
	After         Cursor
	Limit         int
}

// Cursor is where a page ends: the sorting moment, if any, and the id.
type Cursor struct {
	At int64
	ID int64
}

// Certificates lists one page, ordered by due time or expiry when filtered by
// it, else by id.
func (q Q) Certificates(ctx context.Context, f CertificateFilter) ([]certfleet.Certificate, Cursor, error) {
	w := where{pg: q.pg}
	id := w.labels("certificate", "certificate.id", f.Labels)
	order := ""
	switch {
	case !f.ExpiresBefore.IsZero():
		order = "certificate.not_after"
		w.add("certificate.not_after > 0 AND certificate.not_after <= ?", f.ExpiresBefore.UnixMilli())
	case f.State == "due":
		order = "certificate.due_at"
	case !f.DueBefore.IsZero():
		order = "certificate.due_at"
		w.add("certificate.due_at > 0 AND certificate.due_at <= ?", f.DueBefore.UnixMilli())
	}
	by := carriers{}
	if f.Issuer != "" {
		var err error
		if by, err = q.issuedBy(ctx, &w, f, order == "" && len(f.Labels) == 0); err != nil {
			return nil, Cursor{}, err
		}
	}
	w.certificateState(f.State)
	w.tenant("certificate", f.Tenant, order != "" || len(f.Labels) > 0 || by.few || f.Policy != "" || f.Target != "")
	if f.Policy != "" {
		w.add("certificate.policy_id = (SELECT id FROM policy WHERE tenant_id = ? AND label = ?)", orDefault(f.Tenant), f.Policy)
	}
	if f.Target != "" {
		w.add("certificate.id IN (SELECT ct.certificate_id FROM certificate_target ct JOIN target t ON t.id = ct.target_id WHERE t.tenant_id = ? AND t.label = ?)", orDefault(f.Tenant), f.Target)
	}
	if f.Profile != "" {
		w.add("EXISTS (SELECT 1 FROM version v WHERE v.id = certificate.version_id AND v.profile = ?)", f.Profile)
	}
	w.after(order, id, f.After)
	if order == "" {
		w.beyond("certificate.id", f.After)
	}
	sort := id
	if order != "" {
		sort = order + ", " + id
	}
	list, err := certificates.list(ctx, q, w.sql()+" ORDER BY "+sort+w.limit(f.Limit), w.args...)
	if err != nil {
		return nil, Cursor{}, err
	}
	if err := q.decorateAll(ctx, list); err != nil {
		return nil, Cursor{}, err
	}
	return list, by.after(next(list, f.Limit, func(c *certfleet.Certificate) Cursor {
		switch order {
		case "certificate.not_after":
			return Cursor{c.NotAfter.UnixMilli(), c.ID}
		case "certificate.due_at":
			return Cursor{c.DueAt.UnixMilli(), c.ID}
		}
		return Cursor{0, c.ID}
	})), nil
}

// setKey is a column derived from the names.
type setKey struct{ names *[]certfleet.Name }
