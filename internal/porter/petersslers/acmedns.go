package petersslers

import (
	"context"
	"database/sql"

	"github.com/certfleet/certfleet"
)

// Delegation is an account of a domain at an acme-dns server.
type Delegation struct {
	ID         int64
	Domain     string // empty when its row is gone
	Server     string // URL of the server's API; empty when its row is gone
	Active     bool
	Username   string
	Password   certfleet.Secret
	FullDomain string
	Subdomain  string
	AllowFrom  string
}

// Delegations reads the accounts at acme-dns servers, batch by batch.
func (d *DB) Delegations(ctx context.Context, each func([]Delegation) error) error {
	return batches(ctx, d, `SELECT a.id, coalesce(n.domain_name, ''), coalesce(s.api_url, ''), coalesce(a.is_active, 0) <> 0, coalesce(a.username, ''), coalesce(a.password, ''),
		coalesce(a.fulldomain, ''), coalesce(a.subdomain, ''), coalesce(a.allowfrom, '') FROM acme_dns_server_account a
		LEFT JOIN domain n ON n.id = a.domain_id LEFT JOIN acme_dns_server s ON s.id = a.acme_dns_server_id WHERE a.id > ? ORDER BY a.id LIMIT ?`,
		func(r *sql.Rows) (a Delegation, err error) {
			var password []byte
			err = r.Scan(&a.ID, &a.Domain, &a.Server, &a.Active, &a.Username, &password, &a.FullDomain, &a.Subdomain, &a.AllowFrom)
			a.Password = password
			return a, err
		}, func(a Delegation) int64 { return a.ID }, each)
}
