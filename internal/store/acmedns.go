package store

import (
	"context"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// ACMEDNS is a credential at an acme-dns server, sealed.
type ACMEDNS struct {
	Tenant     int64
	Solver     string
	Name       certfleet.Name
	FullDomain string // what the CNAME of the name's challenge points to
	Sealed     []byte
	CreatedAt  time.Time
}

var acmedns = table[ACMEDNS]{"acmedns", "acme-dns credential", func(a *ACMEDNS) []field {
	return []field{{"tenant_id", &a.Tenant}, {"solver", &a.Solver}, {"name", &a.Name}, {"fulldomain", &a.FullDomain}, {"sealed", &a.Sealed}, {"created_at", ms(&a.CreatedAt)}}
}}

// ACMEDNS reads the credential of a name.
func (q Q) ACMEDNS(ctx context.Context, tenant int64, solver string, n certfleet.Name) (*ACMEDNS, error) {
	return acmedns.one(ctx, q, "WHERE tenant_id = $1 AND solver = $2 AND name = $3", orDefault(tenant), solver, n.String())
}

// ACMEDNSOf lists the credentials of a solver.
func (q Q) ACMEDNSOf(ctx context.Context, tenant int64, solver string) ([]ACMEDNS, error) {
	return acmedns.list(ctx, q, "WHERE tenant_id = $1 AND solver = $2 ORDER BY name", orDefault(tenant), solver)
}

// ACMEDNSNumber is the number of the account of a name, by solver and name with a
// space between: the first 52 bits of their SHA-256, so that every program that reads
// JSON reads it whole.
func ACMEDNSNumber(ref string) int64 {
	n, _ := strconv.ParseInt(pki.ContentID([]byte(ref)), 10, 64) // it is a number
	return n >> 11
}

// number is that of the account.
func (a *ACMEDNS) number() int64 { return ACMEDNSNumber(a.Solver + " " + a.Name.String()) }

// ACMEDNSByNumber reads the credential that has a number, of those that were given
// theirs; see NumberACMEDNS.
func (q Q) ACMEDNSByNumber(ctx context.Context, tenant, number int64) (*ACMEDNS, error) {
	return acmedns.one(ctx, q, "WHERE tenant_id = $1 AND number = $2", orDefault(tenant), number)
}

// UnnumberedACMEDNS lists credentials that an older release stored, without numbers.
func (q Q) UnnumberedACMEDNS(ctx context.Context, tenant int64, limit int) ([]ACMEDNS, error) {
	return acmedns.list(ctx, q, "WHERE tenant_id = $1 AND number = 0 LIMIT $2", orDefault(tenant), limit)
}

// NumberACMEDNS gives credentials their numbers.
func (t *Tx) NumberACMEDNS(ctx context.Context, rows []ACMEDNS) error {
	for i := range rows {
		a := &rows[i]
		if _, err := t.change(ctx, "UPDATE acmedns SET number = $1 WHERE tenant_id = $2 AND solver = $3 AND name = $4", a.number(), a.Tenant, a.Solver, a.Name.String()); err != nil {
			return err
		}
	}
	return nil
}

// PutACMEDNS stores the credential of a name in place of an older one.
func (t *Tx) PutACMEDNS(ctx context.Context, a ACMEDNS) error {
	_, err := t.change(ctx, `INSERT INTO acmedns (tenant_id, solver, name, fulldomain, sealed, created_at, number) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant_id, solver, name) DO UPDATE SET fulldomain = excluded.fulldomain, sealed = excluded.sealed, number = excluded.number`,
		orDefault(a.Tenant), a.Solver, a.Name.String(), a.FullDomain, a.Sealed, t.now.UnixMilli(), a.number())
	return err
}

// ACMEDNSAfter lists a page of the credentials of a solver by name, behind a name.
func (q Q) ACMEDNSAfter(ctx context.Context, tenant int64, solver, after string, limit int) ([]ACMEDNS, error) {
	return acmedns.list(ctx, q, "WHERE tenant_id = $1 AND solver = $2 AND name > $3 ORDER BY name LIMIT $4", orDefault(tenant), solver, after, page(limit))
}
