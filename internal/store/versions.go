package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

var versions = table[certfleet.Version]{"version", "version", func(v *certfleet.Version) []field {
	return []field{
		{"id", &v.ID}, {"tenant_id", &v.Tenant}, {"certificate_id", ref(&v.CertificateID)}, {"order_id", ref(&v.OrderID)}, {"key_id", ref(&v.KeyID)},
		{"origin", &v.Origin}, {"names", nameList(&v.Names)}, {"serial", &v.Serial}, {"fingerprint", &v.Fingerprint}, {"spki", &v.SPKI},
		{"issuer", &v.Issuer}, {"subject", &v.Subject}, {"authority_id", ref(&v.AuthorityID)}, {"profile", &v.Profile}, {"not_before", ms(&v.NotBefore)},
		{"not_after", ms(&v.NotAfter)}, {"chain_pem", blob(&v.ChainPEM)}, {"revoked_at", ms(&v.RevokedAt)}, {"revoke_reason", &v.RevokeReason},
		{"replaced_by", ref(&v.ReplacedBy)}, {"ari_id", &v.ARIID}, {"ari_start", ms(&v.ARIStart)}, {"ari_end", ms(&v.ARIEnd)}, {"ari_at", ms(&v.ARIAt)},
		{"ari_url", &v.ARIURL}, {"ari_poll_at", ms(&v.ARIPollAt)}, {"ari_problem", &v.ARIProblem}, {"created_at", ms(&v.CreatedAt)}, {"rev", &v.Rev},
	}
}}

var chains = table[certfleet.Chain]{"version_chain", "chain", func(c *certfleet.Chain) []field {
	return []field{{"version_id", &c.VersionID}, {"position", &c.Position}, {"issuer", &c.Issuer}, {"pem", &c.PEM}}
}}

// AddVersion stores an issued chain with all its alternates.
func (t *Tx) AddVersion(ctx context.Context, v *certfleet.Version, all []certfleet.Chain) error {
	v.CreatedAt = t.now
	if err := versions.insert(ctx, t, v); err != nil {
		return err
	}
	for _, c := range all {
		if err := t.later(ctx, "INSERT INTO version_chain (version_id, position, issuer, pem) VALUES ($1, $2, $3, $4)", v.ID, c.Position, c.Issuer, c.PEM); err != nil {
			return err
		}
	}
	for _, n := range v.Names {
		if err := t.later(ctx, "INSERT INTO version_name (name, version_id) VALUES ($1, $2)", n.String(), v.ID); err != nil {
			return err
		}
	}
	return t.learnIssuer(ctx, v)
}

// SaveVersion writes a version where nobody else did meanwhile.
func (t *Tx) SaveVersion(ctx context.Context, v *certfleet.Version) error {
	return versions.saveLater(ctx, t, v, &v.Rev)
}

// Version reads one version.
func (q Q) Version(ctx context.Context, id int64) (*certfleet.Version, error) {
	return versions.one(ctx, q, "WHERE id = $1", id)
}

// VersionByFingerprint reads the version with that leaf.
func (q Q) VersionByFingerprint(ctx context.Context, tenant int64, fingerprint string) (*certfleet.Version, error) {
	return versions.one(ctx, q, "WHERE tenant_id = $1 AND fingerprint = $2", orDefault(tenant), strings.ToLower(fingerprint))
}

// ChainsOf lists all chains of a version, the CA's default first.
func (q Q) ChainsOf(ctx context.Context, version int64) ([]certfleet.Chain, error) {
	return chains.list(ctx, q, "WHERE version_id = $1 ORDER BY position", version)
}

// DuePolls are the versions whose renewal information is to be asked for now.
func (q Q) DuePolls(ctx context.Context, now time.Time, limit int) ([]certfleet.Version, error) {
	return versions.list(ctx, q, "WHERE ari_poll_at > 0 AND ari_poll_at <= $1 ORDER BY ari_poll_at, id LIMIT $2", now.UnixMilli(), limit)
}

// ClaimPoll takes a version whose renewal information is to be asked for: the next
// question is due only when the lease ends. Of two nodes one wins.
func (t *Tx) ClaimPoll(ctx context.Context, v *certfleet.Version, until time.Time) error {
	err := t.changeOne(ctx, "UPDATE version SET ari_poll_at = $1, rev = rev + 1 WHERE id = $2 AND rev = $3", until.UnixMilli(), v.ID, v.Rev)
	if err == nil {
		v.ARIPollAt, v.Rev = until, v.Rev+1
	}
	return err
}

// VersionFilter narrows a list of versions.
type VersionFilter struct {
	Tenant        int64
	CertificateID int64
	KeyID         int64
	Past          bool             // replaced or revoked
	ValidAt       time.Time        // not expired then
	Labels        certfleet.Labels // of the certificates
	After         Cursor
	Limit         int
}

// Versions lists one page, newest first.
func (q Q) Versions(ctx context.Context, f VersionFilter) ([]certfleet.Version, Cursor, error) {
	by, err := q.carriersOf(ctx, f.Labels, listed{"version", f.Tenant, f.After, true})
	if err != nil {
		return nil, Cursor{}, err
	}
	w := where{pg: q.pg}
	w.tenant("version", f.Tenant, f.CertificateID != 0 || f.KeyID != 0 || by.few)
	w.carriedBy(by, "version.id", "version.certificate_id IN (%s)", "%s", "version.certificate_id")
	if f.CertificateID != 0 {
		w.add("version.certificate_id = ?", f.CertificateID)
	}
	if f.KeyID != 0 {
		w.add("version.key_id = ?", f.KeyID)
	}
	if f.Past {
		w.add("(version.replaced_by IS NOT NULL OR version.revoked_at > 0)")
	}
	if !f.ValidAt.IsZero() {
		w.add("version.not_after > ?", f.ValidAt.UnixMilli())
	}
	if f.After.ID != 0 {
		w.add("version.id < ?", f.After.ID)
	}
	list, err := versions.list(ctx, q, w.page("version", by, f.Limit), w.args...)
	return list, by.after(next(list, f.Limit, func(v *certfleet.Version) Cursor { return Cursor{0, v.ID} })), err
}

// FillSlot says what a name serves from now on.
func (t *Tx) FillSlot(ctx context.Context, s certfleet.Slot) error {
	return t.later(ctx, `INSERT INTO slot (tenant_id, name, slot, version_id, since) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, name, slot) DO UPDATE SET version_id = excluded.version_id, since = excluded.since`,
		orDefault(s.Tenant), s.Name.String(), string(s.Kind), s.VersionID, t.now.UnixMilli())
}

// EmptySlots takes names from what they serve when nothing wants them any more.
func (t *Tx) EmptySlots(ctx context.Context, version int64) error {
	_, err := t.change(ctx, "DELETE FROM slot WHERE version_id = $1", version)
	return err
}

var slots = table[certfleet.Slot]{"slot", "slot", func(s *certfleet.Slot) []field {
	return []field{{"tenant_id", &s.Tenant}, {"name", &s.Name}, {"slot", &s.Kind}, {"version_id", &s.VersionID}, {"since", ms(&s.Since)}}
}}

// SlotsOf lists what a name serves.
func (q Q) SlotsOf(ctx context.Context, tenant int64, n certfleet.Name) ([]certfleet.Slot, error) {
	return slots.list(ctx, q, "WHERE tenant_id = $1 AND name = $2 ORDER BY slot", orDefault(tenant), n.String())
}

// Hit is one find of a search: a version or a domain, and where it leads.
type Hit struct {
	Kind          string // version or domain
	ID            int64
	Field         string // what matched: serial, fingerprint, spki, issuer, subject, ari, name
	Value         string
	CertificateID int64
	OrderID       int64
	VersionID     int64
}

// Search finds versions by serial, fingerprint, SPKI, ARI id or subject, domains
// by part of their name, and versions by part of their issuer's. All of it is
// answered from an index; only what is not found there is looked for in the
// middle of every name.
func (q Q) Search(ctx context.Context, tenant int64, what string, limit int) ([]Hit, error) {
	if what = strings.TrimSpace(what); what == "" {
		return nil, nil
	}
	hex := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(what))
	var out []Hit
	for _, s := range []struct{ field, col, value string }{
		{"serial", "serial", hex}, {"fingerprint", "fingerprint", hex}, {"spki", "spki", hex}, {"ari", "ari_id", what}, {"subject", "subject", what},
	} {
		hits, err := q.searchVersions(ctx, tenant, s.field, s.col, s.value, page(limit)-len(out))
		if err != nil {
			return nil, err
		}
		out = append(out, hits...)
	}
	names, err := q.searchNames(ctx, tenant, what, page(limit)-len(out))
	if err != nil {
		return nil, err
	}
	out = append(out, names...)
	issued, err := q.searchIssuers(ctx, tenant, what, page(limit)-len(out))
	if out = append(out, issued...); err != nil || len(out) > 0 {
		return out, err
	}
	within, err := q.domainsAround(ctx, tenant, what, page(limit))
	if err != nil {
		return nil, err
	}
	return q.leads(ctx, within)
}

// searchVersions finds versions, newest first, by what one column holds.
func (q Q) searchVersions(ctx context.Context, tenant int64, field, col, value string, limit int) ([]Hit, error) {
	if value == "" || limit <= 0 {
		return nil, nil
	}
	list, err := versions.list(ctx, q, "WHERE version.tenant_id = $1 AND version."+col+" = $2 ORDER BY version.id DESC LIMIT $3", orDefault(tenant), value, limit)
	var out []Hit
	for _, v := range list {
		out = append(out, Hit{"version", v.ID, field, value, v.CertificateID, v.OrderID, v.ID})
	}
	return out, err
}

func (q Q) searchNames(ctx context.Context, tenant int64, part string, limit int) ([]Hit, error) {
	if limit <= 0 {
		return nil, nil
	}
	list, err := q.domainsWith(ctx, tenant, part, limit)
	if err != nil {
		return nil, err
	}
	return q.leads(ctx, list)
}

// leads are the hits of domains, each with the newest certificate that has it.
func (q Q) leads(ctx context.Context, list []certfleet.Domain) ([]Hit, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out, at, ids := make([]Hit, len(list)), map[int64]*Hit{}, make([]int64, len(list))
	for i, d := range list {
		out[i] = Hit{Kind: "domain", ID: d.ID, Field: "name", Value: d.Name.String()}
		at[d.ID], ids[i] = &out[i], d.ID
	}
	rows, err := q.x.QueryContext(ctx, "SELECT cn.domain_id, c.id, coalesce(c.version_id, 0) FROM certificate_name cn JOIN certificate c ON c.id = cn.certificate_id WHERE cn.domain_id IN ("+q.idsIn("$1")+
		") AND cn.certificate_id = (SELECT max(l.certificate_id) FROM certificate_name l WHERE l.domain_id = cn.domain_id)", q.ids(ids))
	if err != nil {
		return nil, explain(fmt.Errorf("find certificates of domains: %w", err), "")
	}
	defer rows.Close()
	for rows.Next() {
		var domain, certificate, version int64
		if err := rows.Scan(&domain, &certificate, &version); err != nil {
			return nil, err
		}
		at[domain].CertificateID, at[domain].VersionID = certificate, version
	}
	return out, explain(rows.Err(), "")
}

// mostAlike bounds how many of the names with a common part are sorted.
const mostAlike = 1000

// domainsWith are a tenant's first domains with a part. Of a part that very many
// names have only the first are looked at, unless other tenants' fill them.
func (q Q) domainsWith(ctx context.Context, tenant int64, part string, limit int) ([]certfleet.Domain, error) {
	lo, hi := prefixRange(part)
	list, err := domains.list(ctx, q, "WHERE domain.tenant_id = $1 AND domain.id IN (SELECT domain_id FROM (SELECT domain_id FROM name_part WHERE part >= $2 AND part < $3 ORDER BY part, domain_id LIMIT $4) AS first) ORDER BY domain.id LIMIT $5",
		orDefault(tenant), lo, hi, max(limit, mostAlike), limit)
	if err != nil || len(list) == limit {
		return list, err
	}
	n, err := q.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM name_part WHERE part >= $1 AND part < $2 LIMIT $3) AS first", lo, hi, max(limit, mostAlike))
	if err != nil || n < int64(max(limit, mostAlike)) {
		return list, err
	}
	return domains.list(ctx, q, "WHERE domain.tenant_id = $1 AND domain.id IN (SELECT domain_id FROM name_part WHERE part >= $2 AND part < $3) ORDER BY domain.id LIMIT $4", orDefault(tenant), lo, hi, limit)
}

// leastAround bounds how short a part is looked for in the middle of names.
const leastAround = 3

// domainsAround are a tenant's first domains that have a part anywhere. It walks
// the tenant's names, so it comes last.
func (q Q) domainsAround(ctx context.Context, tenant int64, part string, limit int) ([]certfleet.Domain, error) {
	if part = certfleet.NamePart(part); len(part) < leastAround || strings.Trim(part, partLetters) != "" {
		return nil, nil
	}
	return domains.list(ctx, q, "WHERE domain.tenant_id = $1 AND domain.name LIKE $2 ORDER BY domain.id LIMIT $3", orDefault(tenant), "%"+part+"%", limit)
}

// partLetters are what a name or an address can hold, none of which LIKE reads as
// a pattern.
const partLetters = "abcdefghijklmnopqrstuvwxyz0123456789-.:"

// Replaced notes that a newer version took the place of an older one.
func (t *Tx) Replaced(ctx context.Context, old, by int64) error {
	if err := t.later(ctx, "UPDATE version SET replaced_by = $1, ari_poll_at = 0, rev = rev + 1 WHERE id = $2", by, old); err != nil {
		return err
	}
	return t.itemReplaced(ctx, old)
}
