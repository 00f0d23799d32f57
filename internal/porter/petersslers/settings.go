package petersslers

import (
	"context"
	"database/sql"

	"github.com/certfleet/certfleet"
)

// Quartet says how certificates of one role are got: by which account, with what
// key, and in which of the CA's profiles.
type Quartet struct {
	AccountID int64
	KeyType   certfleet.KeyType // empty for what the account says
	System    bool              // KeyType is what the system configuration says
	KeyCycle  certfleet.KeyCycle
	Profile   string // @ for what the account says
	Unknown   bool   // a number in it is of no enumeration that is known
}

// roles are a quartet for the primary certificate and maybe one for the backup.
type roles struct {
	Primary Quartet
	Backup  *Quartet
}

const quartetFields = `coalesce(CAST(acme_account_id__primary AS INTEGER), 0), coalesce(CAST(private_key_technology_id__primary AS INTEGER), 0), coalesce(CAST(private_key_cycle_id__primary AS INTEGER), 1), coalesce(acme_profile__primary, ''),
	coalesce(CAST(acme_account_id__backup AS INTEGER), 0), coalesce(CAST(private_key_technology_id__backup AS INTEGER), 0), coalesce(CAST(private_key_cycle_id__backup AS INTEGER), 1), coalesce(acme_profile__backup, '')`

// raw is a quartet in numbers.
type raw struct {
	account, technology, cycle int64
	profile                    string
}

func (w raw) quartet() Quartet {
	typ, known := technologies[w.technology]
	cycle, knownCycle := cycles[w.cycle]
	return Quartet{AccountID: w.account, KeyType: typ, System: w.technology == systemDefault, KeyCycle: cycle, Profile: w.profile, Unknown: !known || !knownCycle}
}

// scanRoles scans quartetFields after what goes before.
func scanRoles(r *sql.Rows, before ...any) (out roles, err error) {
	var p, b raw
	err = r.Scan(append(before, &p.account, &p.technology, &p.cycle, &p.profile, &b.account, &b.technology, &b.cycle, &b.profile)...)
	out.Primary = p.quartet()
	if b.account != 0 {
		q := b.quartet()
		out.Backup = &q
	}
	return out, err
}

// System is one of the three system configurations.
type System struct {
	ID         int64
	Name       string // global, autocert or certificate-if-needed
	Configured bool
	roles
}

// Systems reads the system configurations.
func (d *DB) Systems(ctx context.Context) ([]System, error) {
	return gather(ctx, d, "SELECT id, coalesce(name, ''), coalesce(is_configured, 0) <> 0, "+quartetFields+" FROM system_configuration WHERE id > ? ORDER BY id LIMIT ?",
		func(r *sql.Rows) (s System, err error) {
			s.roles, err = scanRoles(r, &s.ID, &s.Name, &s.Configured)
			return s, err
		}, func(s System) int64 { return s.ID })
}

// Factory is an enrollment factory. Its templates are as they were written.
type Factory struct {
	ID            int64
	Name          string
	LabelTemplate string
	HTTP01, DNS01 string
	Duplicates    certfleet.DuplicateStrategy
	Note          string
	roles
}

// Factories reads all enrollment factories.
func (d *DB) Factories(ctx context.Context) ([]Factory, error) {
	return gather(ctx, d, `SELECT id, coalesce(name, ''), coalesce(label_template, ''), coalesce(domain_template_http01, ''), coalesce(domain_template_dns01, ''),
		coalesce(CAST(acme_challenge_duplicate_strategy_id AS INTEGER), 1), coalesce(note, ''), `+quartetFields+` FROM enrollment_factory WHERE id > ? ORDER BY id LIMIT ?`,
		func(r *sql.Rows) (f Factory, err error) {
			var strategy int64
			f.roles, err = scanRoles(r, &f.ID, &f.Name, &f.LabelTemplate, &f.HTTP01, &f.DNS01, &strategy, &f.Note)
			f.Duplicates = strategies[strategy]
			return f, err
		}, func(f Factory) int64 { return f.ID })
}

// Blocked is a name that is never to be ordered.
type Blocked struct {
	ID   int64
	Name string
}

// Blocklist reads the blocklist.
func (d *DB) Blocklist(ctx context.Context) ([]Blocked, error) {
	return gather(ctx, d, "SELECT id, coalesce(domain_name, '') FROM domain_blocklisted WHERE id > ? ORDER BY id LIMIT ?",
		func(r *sql.Rows) (b Blocked, err error) { return b, r.Scan(&b.ID, &b.Name) },
		func(b Blocked) int64 { return b.ID })
}

// Preferred reads the certificates of CAs in the order in which the policy global
// prefers chains that they are in, as PEM.
func (d *DB) Preferred(ctx context.Context) ([]string, error) {
	return d.words(ctx, `SELECT coalesce(t.cert_pem, '') FROM x509_certificate_trust_preference_policy p
		JOIN x509_certificate_trust_preference_policy_item i ON i.x509_certificate_trust_preference_policy_id = p.id
		JOIN x509_certificate_trusted t ON t.id = i.x509_certificate_trusted_id WHERE p.name = 'global' ORDER BY i.slot_id LIMIT ?`, batch)
}

// Count is how many rows a table of those that are read has.
func (d *DB) Count(ctx context.Context, table string) (n int64, err error) {
	if _, ok := columns[table]; !ok {
		return 0, invalid("name a table that is read", nil, "table %q is not read", table)
	}
	err = d.sql.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}
