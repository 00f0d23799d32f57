package petersslers

import (
	"context"
	"database/sql"

	"github.com/certfleet/certfleet"
)

// Server is an ACME server.
type Server struct {
	ID        int64
	Name      string
	Directory string // URL of its directory
	TrustPEM  string // certificates to trust for its API, empty for the system's
}

// Servers reads all ACME servers.
func (d *DB) Servers(ctx context.Context) ([]Server, error) {
	return gather(ctx, d, "SELECT id, coalesce(name, ''), coalesce(directory_url, ''), coalesce(server_ca_cert_bundle, '') FROM acme_server WHERE id > ? ORDER BY id LIMIT ?",
		func(r *sql.Rows) (s Server, err error) {
			return s, r.Scan(&s.ID, &s.Name, &s.Directory, &s.TrustPEM)
		},
		func(s Server) int64 { return s.ID })
}

// Account is an account at an ACME server. Its fields of key type, cycle and
// profile are what its orders are like where nothing else is said.
type Account struct {
	ID          int64
	ServerID    int64
	Name        string
	Contact     string
	URL         string
	Active      bool
	Deactivated bool // at the CA, for good
	Agreed      bool // to the CA's terms
	KeyType     certfleet.KeyType
	KeyCycle    certfleet.KeyCycle
	Profile     string
	Keys        int // how many keys are marked as the one in use; one is right
}

const accountQuery = `SELECT a.id, coalesce(CAST(a.acme_server_id AS INTEGER), 0), coalesce(a.name, ''), coalesce(a.contact, ''), coalesce(a.account_url, ''), coalesce(a.is_active, 0) <> 0,
	a.timestamp_deactivated IS NOT NULL, EXISTS (SELECT 1 FROM acme_account_2_terms_of_service t WHERE t.acme_account_id = a.id AND t.is_active),
	coalesce(CAST(a.order_default_private_key_technology_id AS INTEGER), 0), coalesce(CAST(a.order_default_private_key_cycle_id AS INTEGER), 0), coalesce(a.order_default_acme_profile, ''),
	(SELECT count(*) FROM acme_account_key k WHERE k.acme_account_id = a.id AND k.is_active)
	FROM acme_account a WHERE a.id > ? ORDER BY a.id LIMIT ?`

// Accounts reads all accounts, without their keys.
func (d *DB) Accounts(ctx context.Context) ([]Account, error) {
	return gather(ctx, d, accountQuery, func(r *sql.Rows) (a Account, err error) {
		var technology, cycle int64
		err = r.Scan(&a.ID, &a.ServerID, &a.Name, &a.Contact, &a.URL, &a.Active, &a.Deactivated, &a.Agreed, &technology, &cycle, &a.Profile, &a.Keys)
		a.KeyType, a.KeyCycle = technologies[technology], cycles[cycle]
		return a, err
	}, func(a Account) int64 { return a.ID })
}

// AccountKey reads the private key of an account as PEM; NotFound if it has none.
func (d *DB) AccountKey(ctx context.Context, account int64) (certfleet.Secret, error) {
	return d.secret(ctx, "SELECT coalesce(key_pem, '') FROM acme_account_key WHERE acme_account_id = ? AND is_active ORDER BY id DESC LIMIT 1", account)
}

// secret reads one text that must not be shown.
func (d *DB) secret(ctx context.Context, query string, id int64) (certfleet.Secret, error) {
	var b []byte
	err := d.sql.QueryRowContext(ctx, query, id).Scan(&b)
	if err == sql.ErrNoRows {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "it has no key"}
	}
	return b, err
}
