package petersslers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"github.com/certfleet/certfleet"
)

const (
	magic    = "SQLite format 3\x00" // what every SQLite file begins with
	batch    = 500                   // rows of one read
	patience = "10000"               // milliseconds that a read waits for a writer
)

// DB is a database of peter_sslers that is open for reading.
type DB struct {
	sql *sql.DB

	// Path is the absolute path of its file.
	Path string
}

// Open opens a database and checks that it is of a generation that is known. It
// writes nothing, and does not hinder the server that it belongs to.
func Open(ctx context.Context, path string) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := looksLikeSQLite(path); err != nil {
		return nil, err
	}
	file := "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(" + patience + ")"
	pool, err := sql.Open("sqlite", file)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	pool.SetMaxOpenConns(1)
	d := &DB{sql: pool, Path: path}
	if err := d.check(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return d, nil
}

// Close closes the file.
func (d *DB) Close() error { return d.sql.Close() }

func invalid(advice string, cause error, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice, Err: cause}
}

const whichFile = "name the SQLite file of peter_sslers, which sqlalchemy.url in its config.ini names, such as ssl_minnow.sqlite"

func looksLikeSQLite(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return invalid(whichFile, nil, "%s is a folder", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return invalid("let this user read the file, or "+whichFile, nil, "%s cannot be read (%s)", path, reason(err))
	}
	defer f.Close()
	b := make([]byte, len(magic))
	if _, err := io.ReadFull(f, b); err != nil || string(b) != magic {
		return invalid(whichFile, nil, "%s is not a SQLite database", path)
	}
	return nil
}

func reason(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// columns are what is read of each table.
var columns = map[string]string{
	"acme_server":                                   "id name directory_url server_ca_cert_bundle",
	"acme_account":                                  "id name contact account_url acme_server_id is_active timestamp_deactivated order_default_private_key_technology_id order_default_private_key_cycle_id order_default_acme_profile",
	"acme_account_key":                              "id acme_account_id is_active key_pem",
	"acme_account_2_terms_of_service":               "acme_account_id is_active",
	"acme_dns_server":                               "id api_url domain is_active",
	"acme_dns_server_account":                       "id acme_dns_server_id domain_id is_active username password fulldomain subdomain allowfrom",
	"acme_order":                                    "id renewal_configuration_id x509_certificate_id",
	"domain":                                        "id domain_name",
	"domain_blocklisted":                            "id domain_name",
	"enrollment_factory":                            "id name label_template domain_template_http01 domain_template_dns01 acme_challenge_duplicate_strategy_id note " + quartetColumns,
	"private_key":                                   "id timestamp_created key_pem is_compromised",
	"renewal_configuration":                         "id is_active label note unique_fqdn_set_id uniquely_challenged_fqdn_set_id acme_challenge_duplicate_strategy_id enrollment_factory_id__via " + quartetColumns,
	"system_configuration":                          "id name is_configured " + quartetColumns,
	"unique_fqdn_set_2_domain":                      "unique_fqdn_set_id domain_id",
	"uniquely_challenged_fqdn_set_2_domain":         "uniquely_challenged_fqdn_set_id domain_id acme_challenge_type_id",
	"x509_certificate":                              "id cert_pem timestamp_not_after unique_fqdn_set_id private_key_id certificate_type_id is_active is_revoked is_compromised_private_key",
	"x509_certificate_chain":                        "id x509_certificate_id x509_certificate_trust_chain_id is_upstream_default",
	"x509_certificate_trust_chain":                  "id chain_pem",
	"x509_certificate_trusted":                      "id cert_pem",
	"x509_certificate_trust_preference_policy":      "id name",
	"x509_certificate_trust_preference_policy_item": "x509_certificate_trust_preference_policy_id slot_id x509_certificate_trusted_id",
	"rate_limited":                                  "id",
}

const quartetColumns = "acme_account_id__primary private_key_technology_id__primary private_key_cycle_id__primary acme_profile__primary " +
	"acme_account_id__backup private_key_technology_id__backup private_key_cycle_id__backup acme_profile__backup"

// older are tables that only generations before the renaming of August 2025 have;
// what came after it and lacks something is told by its columns.
var older = []string{"certificate_signed", "server_certificate", "acme_account_provider", "queue_certificate", "ca_certificate", "certificate_ca"}

// check compares the tables with those that are read.
func (d *DB) check(ctx context.Context) error {
	tables, err := d.words(ctx, "SELECT name FROM sqlite_master WHERE type = 'table'")
	if err != nil {
		return invalid("copy the file again, with sqlite3 FILE .backup if its server runs, and check it with PRAGMA integrity_check", err, "%s cannot be read as a SQLite database", d.Path)
	}
	for _, t := range older {
		if slices.Contains(tables, t) {
			return invalid("bring it to the newest release with peter_sslers' own alembic upgrade head, then import it", nil, "%s is of an older generation of peter_sslers: it has a table %s", d.Path, t)
		}
	}
	if !slices.Contains(tables, "renewal_configuration") || !slices.Contains(tables, "acme_server") {
		return invalid(whichFile, nil, "%s is not a database of peter_sslers", d.Path)
	}
	var missing []string
	for table, list := range columns {
		have, err := d.words(ctx, "SELECT name FROM pragma_table_info(?)", table)
		if err != nil {
			return fmt.Errorf("look at table %s: %w", table, err)
		}
		for _, c := range strings.Fields(list) {
			if !slices.Contains(have, c) {
				missing = append(missing, table+"."+c)
			}
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return invalid("bring it to the newest release with peter_sslers' own alembic upgrade head, then import it", nil, "%s is of a generation of peter_sslers that is not known: it lacks %s", d.Path, strings.Join(missing, ", "))
	}
	return nil
}

// words reads a column of text.
func (d *DB) words(ctx context.Context, query string, args ...any) ([]string, error) {
	return rows(ctx, d, query, func(r *sql.Rows) (s string, err error) { return s, r.Scan(&s) }, args...)
}

// rows reads all rows of a query.
func rows[T any](ctx context.Context, d *DB, query string, scan func(*sql.Rows) (T, error), args ...any) (out []T, err error) {
	r, err := d.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for r.Next() {
		v, err := scan(r)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.Err()
}

// batches reads the rows of a query in batches; the query ends in what takes the
// last id and the size of a batch, and is in the order of ids.
func batches[T any](ctx context.Context, d *DB, query string, scan func(*sql.Rows) (T, error), id func(T) int64, each func([]T) error) error {
	after := int64(-1 << 62)
	for {
		list, err := rows(ctx, d, query, scan, after, batch)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return nil
		}
		if err := each(list); err != nil || len(list) < batch {
			return err
		}
		after = id(list[len(list)-1])
	}
}

// gather is batches that are small enough to be kept.
func gather[T any](ctx context.Context, d *DB, query string, scan func(*sql.Rows) (T, error), id func(T) int64) (out []T, err error) {
	err = batches(ctx, d, query, scan, id, func(list []T) error {
		out = append(out, list...)
		return nil
	})
	return out, err
}
