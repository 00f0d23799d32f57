// Package petersslerstest makes databases as peter_sslers keeps them, for tests.
package petersslerstest

import (
	"crypto"
	"crypto/md5" // as the original marks texts; nothing is protected by it
	"database/sql"
	_ "embed" // the schema
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

//go:embed schema.sql
var schema string

// Row is a row by its columns.
type Row map[string]any

// Minnow is a database that is being filled. What goes wrong panics: it is a
// mistake of the test.
type Minnow struct {
	Path string
	CA   *pki.CA // signs its certificates
	db   *sql.DB
	n    int64
}

// New makes an empty database with what the original puts into every one: the
// placeholder of a key, and three system configurations that are not configured.
func New(path string) *Minnow {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=synchronous(OFF)")
	check(err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec(schema)
	check(err)
	ca, err := pki.NewCA("Fixture CA", time.Now())
	check(err)
	m := &Minnow{Path: path, CA: ca, db: db}
	m.Insert("private_key", Row{"id": 0, "key_pem": "*placeholder*", "is_active": true, "private_key_source_id": 0, "private_key_type_id": 0})
	for i, name := range []string{"global", "autocert", "certificate-if-needed"} {
		m.Insert("system_configuration", Row{"id": i + 1, "name": name, "is_configured": false, "acme_account_id__primary": 0, "private_key_technology_id__primary": 0, "private_key_cycle_id__primary": 1, "acme_profile__primary": "@",
			"acme_account_id__backup": 0, "private_key_technology_id__backup": 0, "private_key_cycle_id__backup": 1, "acme_profile__backup": "@"})
	}
	return m
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Close closes the file.
func (m *Minnow) Close() { check(m.db.Close()) }

// Exec changes rows as a test likes.
func (m *Minnow) Exec(query string, args ...any) {
	_, err := m.db.Exec(query, args...)
	check(err)
}

// Insert adds a row and answers its id. Columns that must be filled and are not
// given hold something of their type.
func (m *Minnow) Insert(table string, row Row) int64 {
	columns, err := m.db.Query("SELECT name, type FROM pragma_table_info(?) WHERE \"notnull\" = 1 AND pk = 0", table)
	check(err)
	filled := Row{}
	for columns.Next() {
		var name, typ string
		check(columns.Scan(&name, &typ))
		filled[name] = m.something(name, typ)
	}
	check(columns.Close())
	for k, v := range row {
		filled[k] = v
	}
	var names, marks []string
	var values []any
	for k := range filled {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		marks, values = append(marks, "?"), append(values, filled[k])
	}
	res, err := m.db.Exec(fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(names, ", "), strings.Join(marks, ", ")), values...)
	check(err)
	id, err := res.LastInsertId()
	check(err)
	return id
}

func (m *Minnow) something(name, typ string) any {
	m.n++
	switch {
	case typ == "BOOLEAN":
		return true
	case typ == "DATETIME":
		return stamp(time.Now())
	case typ == "INTEGER":
		return 1
	case name == "protocol":
		return "acme-v2"
	case strings.HasSuffix(name, "_md5"):
		sum := md5.Sum(fmt.Append(nil, m.n))
		return hex.EncodeToString(sum[:])
	}
	return fmt.Sprintf("%s %d", name, m.n)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000") }

// Server adds an ACME server.
func (m *Minnow) Server(name, directory, bundle string) int64 {
	return m.Insert("acme_server", Row{"name": name, "directory_url": directory, "server_ca_cert_bundle": orNull(bundle)})
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Account adds an account with the key that is in use; more columns may be given.
func (m *Minnow) Account(server int64, name, url, keyPEM string, more Row) int64 {
	row := Row{"acme_server_id": server, "name": orNull(name), "account_url": orNull(url), "contact": "tls@certfleet.test", "private_key_technology_id": 4, "order_default_private_key_technology_id": 4, "order_default_private_key_cycle_id": 7}
	for k, v := range more {
		row[k] = v
	}
	id := m.Insert("acme_account", row)
	m.Insert("acme_account_key", Row{"acme_account_id": id, "is_active": true, "key_pem": keyPEM})
	return id
}

// AccountKey is a private key as PEM, as accounts have them.
func AccountKey(t certfleet.KeyType) (crypto.Signer, string) {
	key, err := pki.GenerateKey(t)
	check(err)
	pem, err := pki.MarshalKey(key)
	check(err)
	return key, string(pem)
}

// Pair is a certificate with the ids of what belongs to it.
type Pair struct{ CertPEM, KeyID, ChainID string }

// Pair reads a certificate and its default chain, empty for none.
func (m *Minnow) Pair(id string) (p Pair) {
	err := m.db.QueryRow("SELECT c.cert_pem, c.private_key_id, coalesce((SELECT x.x509_certificate_trust_chain_id FROM x509_certificate_chain x WHERE x.x509_certificate_id = c.id ORDER BY x.is_upstream_default DESC, x.id LIMIT 1), '') FROM x509_certificate c WHERE c.id = ?", id).Scan(&p.CertPEM, &p.KeyID, &p.ChainID)
	if err == sql.ErrNoRows {
		return p
	}
	check(err)
	return p
}

// DomainName reads a domain's name, empty for none.
func (m *Minnow) DomainName(id string) (name string) {
	if err := m.db.QueryRow("SELECT domain_name FROM domain WHERE id = ?", id).Scan(&name); err != sql.ErrNoRows {
		check(err)
	}
	return name
}
