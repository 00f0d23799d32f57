package petersslers

import (
	"bytes"
	"context"
	"database/sql"
	"time"

	"github.com/certfleet/certfleet"
)

// Certificate is an issued certificate without its texts.
type Certificate struct {
	ID          int64
	SetID       int64 // of its names
	KeyID       int64 // zero is peter_sslers' word for none
	Role        int64 // Imported, Primary or Backup
	RenewalID   int64 // the renewal configuration whose order got it; zero for none
	Active      bool
	Revoked     bool
	Compromised bool   // its key is
	NotAfter    string // UTC, in a form that sorts
}

// stamp is how peter_sslers writes times in SQLite.
const stamp = "2006-01-02 15:04:05.000000"

// Stamp writes a time as NotAfter is written.
func Stamp(t time.Time) string { return t.UTC().Format(stamp) }

// Certificates reads the certificates that are valid longer than after, newest id
// last, batch by batch.
func (d *DB) Certificates(ctx context.Context, after time.Time, each func([]Certificate) error) error {
	owners, err := d.owners(ctx)
	if err != nil {
		return err
	}
	return batches(ctx, d, `SELECT c.id, coalesce(CAST(c.unique_fqdn_set_id AS INTEGER), 0), coalesce(CAST(c.private_key_id AS INTEGER), 0), coalesce(CAST(c.certificate_type_id AS INTEGER), 0), coalesce(c.is_active, 0) <> 0, coalesce(c.is_revoked, 0) <> 0,
		coalesce(c.is_compromised_private_key, 0) <> 0 OR EXISTS (SELECT 1 FROM private_key k WHERE k.id = c.private_key_id AND k.is_compromised), coalesce(c.timestamp_not_after, '')
		FROM x509_certificate c WHERE c.id > ? AND c.timestamp_not_after > '`+Stamp(after)+`' ORDER BY c.id LIMIT ?`,
		func(r *sql.Rows) (c Certificate, err error) {
			err = r.Scan(&c.ID, &c.SetID, &c.KeyID, &c.Role, &c.Active, &c.Revoked, &c.Compromised, &c.NotAfter)
			c.RenewalID = owners[c.ID]
			return c, err
		}, func(c Certificate) int64 { return c.ID }, each)
}

// owners maps certificates to the renewal configurations whose orders got them.
func (d *DB) owners(ctx context.Context) (map[int64]int64, error) {
	type order struct{ id, certificate, renewal int64 }
	out := map[int64]int64{}
	err := batches(ctx, d, `SELECT id, x509_certificate_id, coalesce(CAST(renewal_configuration_id AS INTEGER), 0) FROM acme_order WHERE id > ? AND x509_certificate_id IS NOT NULL ORDER BY id LIMIT ?`,
		func(r *sql.Rows) (o order, err error) { return o, r.Scan(&o.id, &o.certificate, &o.renewal) },
		func(o order) int64 { return o.id },
		func(list []order) error {
			for _, o := range list {
				out[o.certificate] = o.renewal
			}
			return nil
		})
	return out, err
}

// Pair is a certificate in PEM with its chains and its key.
type Pair struct {
	ChainPEM []byte // leaf first, with the chain that the CA gave by default
	Others   [][]byte
	KeyPEM   certfleet.Secret
	KeyMade  time.Time // zero when that is not known
	ChainIDs []int64   // of the chain in ChainPEM, then of the others
}

// Pair reads the texts of a certificate.
func (d *DB) Pair(ctx context.Context, id int64) (Pair, error) {
	var p Pair
	var leaf []byte
	var made string
	err := d.sql.QueryRowContext(ctx, "SELECT c.cert_pem, CASE WHEN c.private_key_id = 0 THEN '' ELSE coalesce(k.key_pem, '') END, coalesce(k.timestamp_created, '') FROM x509_certificate c LEFT JOIN private_key k ON k.id = c.private_key_id WHERE c.id = ?", id).Scan(&leaf, (*[]byte)(&p.KeyPEM), &made)
	if err != nil {
		return p, err
	}
	p.KeyMade, _ = time.Parse(stamp, made)
	type chain struct {
		id  int64
		pem string
	}
	chains, err := rows(ctx, d, `SELECT t.id, coalesce(t.chain_pem, '') FROM x509_certificate_chain c JOIN x509_certificate_trust_chain t ON t.id = c.x509_certificate_trust_chain_id
		WHERE c.x509_certificate_id = ? ORDER BY coalesce(c.is_upstream_default, 0) <> 0 DESC, c.id LIMIT ?`,
		func(r *sql.Rows) (c chain, err error) { return c, r.Scan(&c.id, &c.pem) }, id, mostChains)
	if err != nil {
		return p, err
	}
	p.ChainPEM = leaf
	for i, c := range chains {
		whole := bytes.Join([][]byte{bytes.TrimSpace(leaf), bytes.TrimSpace([]byte(c.pem)), nil}, []byte("\n"))
		p.ChainIDs = append(p.ChainIDs, c.id)
		if i == 0 {
			p.ChainPEM = whole
			continue
		}
		p.Others = append(p.Others, whole)
	}
	return p, nil
}

// mostChains bounds the chains of one certificate; CAs give two or three.
const mostChains = 8
