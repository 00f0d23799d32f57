package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
)

// The bounds of what is kept and looked up of issuers' names.
const (
	mostParts   = 40  // tails of one name
	longestPart = 200 // bytes of a name
	mostIssuers = 50  // issuers that one search means
)

// fold writes an issuer's name as it is looked for: in lower case, without
// apostrophes, with single spaces.
func fold(s string) string {
	s = strings.NewReplacer("'", "", "\u2019", "", "\\", "").Replace(strings.ToLower(s))
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > longestPart {
		s = s[:strings.LastIndexFunc(s, func(rune) bool { return true })]
	}
	return s
}

// issuerParts are the tails of an issuer's name that begin at a word:
// CN=R11,O=Let's Encrypt can be found by cn=r11, r11, let's encrypt and encrypt.
func issuerParts(name string) []string {
	s := fold(name)
	parts := []string{s}
	for i, r := range s {
		if strings.ContainsRune(" ,=+-./(\"", r) && i+1 < len(s) && len(parts) < mostParts {
			parts = append(parts, s[i+1:])
		}
	}
	return parts
}

// learnIssuer notes by what an issuer may be looked for, once.
func (t *Tx) learnIssuer(ctx context.Context, v *certfleet.Version) error {
	if v.Issuer == "" {
		return nil
	}
	parts := issuerParts(cmp.Or(v.IssuerName, v.Issuer))
	known, err := t.strings(ctx, "SELECT part FROM issuer_part WHERE tenant_id = $1 AND part = $2 AND issuer = $3", orDefault(v.Tenant), parts[0], v.Issuer)
	if err != nil || len(known) > 0 {
		return err
	}
	for _, p := range parts {
		if err := t.later(ctx, "INSERT INTO issuer_part (tenant_id, part, issuer) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", orDefault(v.Tenant), p, v.Issuer); err != nil {
			return err
		}
	}
	return nil
}

// issuersLike are the issuers with a name that holds the text from the start of
// a word on.
func (q Q) issuersLike(ctx context.Context, tenant int64, text string) ([]string, error) {
	lo := fold(text)
	if lo == "" {
		return nil, nil
	}
	list, err := q.strings(ctx, fmt.Sprintf("SELECT DISTINCT issuer FROM issuer_part WHERE tenant_id = $1 AND part >= $2 AND part < $3 LIMIT %d", mostIssuers), orDefault(tenant), lo, lo+"\U0010FFFF")
	slices.Sort(list)
	return list, err
}

// searchIssuers finds versions by part of their issuer's name, newest first.
func (q Q) searchIssuers(ctx context.Context, tenant int64, text string, limit int) ([]Hit, error) {
	if limit <= 0 {
		return nil, nil
	}
	issuers, err := q.issuersLike(ctx, tenant, text)
	if err != nil {
		return nil, err
	}
	var out []Hit
	for _, issuer := range issuers {
		hits, err := q.searchVersions(ctx, tenant, "issuer", "issuer", issuer, limit)
		if err != nil {
			return nil, err
		}
		out = append(out, hits...)
	}
	slices.SortFunc(out, func(a, b Hit) int { return cmp.Compare(b.ID, a.ID) })
	return out[:min(len(out), limit)], nil
}

// issuedBy keeps to certificates whose version in use has an issuer like the
// filter's. Few versions lead to their certificates; else the list is walked, and
// not too far.
func (q Q) issuedBy(ctx context.Context, w *where, f CertificateFilter, walk bool) (by carriers, err error) {
	issuers, err := q.issuersLike(ctx, f.Tenant, f.Issuer)
	if err != nil || len(issuers) == 0 {
		w.add("1 = 0")
		return by, err
	}
	args := []any{orDefault(f.Tenant)}
	for _, s := range issuers {
		args = append(args, s)
	}
	from := "FROM version v WHERE v.tenant_id = ? AND v.issuer IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(issuers)), ", ") + ")"
	if by.few, err = q.fewOf(ctx, from, args); err != nil {
		return by, err
	}
	w.add("EXISTS (SELECT 1 "+from+" AND v.id = certificate.version_id)", args...)
	if by.few {
		w.add("certificate.id IN (SELECT v.certificate_id "+from+")", args...)
		return by, nil
	}
	if walk {
		by.end, err = q.window(ctx, listed{"certificate", f.Tenant, f.After, false})
	}
	if by.end > 0 {
		w.add("certificate.id < ?", by.end)
	}
	return by, err
}

// fewOf reports whether few rows come from there.
func (q Q) fewOf(ctx context.Context, from string, args []any) (bool, error) {
	w := where{pg: q.pg}
	text := w.number(from, args)
	n, err := q.number(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT 1 %s LIMIT %d) AS first", text, fewest+1), w.args...)
	return n <= int64(fewest), err
}
