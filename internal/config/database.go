package config

import (
	"net/url"
	"strings"

	"github.com/certfleet/certfleet/internal/dial"
)

// Database says where the rows are: the path of an SQLite file, a postgres://
// URL, or a reference (file:, env:) to one of them. It may hold a password, so
// every way to print it leaves that out; string(d) is the whole.
type Database string

// Postgres reports whether d is the URL of a PostgreSQL server.
func (d Database) Postgres() bool {
	return strings.HasPrefix(string(d), "postgres://") || strings.HasPrefix(string(d), "postgresql://")
}

// Reference reports whether d only says where the database is written.
func (d Database) Reference() bool {
	return strings.HasPrefix(string(d), "env:") || strings.HasPrefix(string(d), "file:")
}

// ResolveDatabase follows a reference, and names the default for an empty setting.
func (c *Config) ResolveDatabase() (Database, error) {
	switch {
	case c.Database == "":
		return c.DefaultDatabase(), nil
	case !c.Database.Reference():
		return c.Database, nil
	}
	text, err := dial.Reference(string(c.Database))
	if err != nil {
		return "", err
	}
	d := Database(strings.TrimSpace(string(text)))
	if err := d.check(); err != nil {
		return "", err
	}
	return d, nil
}

func (d Database) check() error {
	if d.Postgres() {
		if _, err := url.Parse(string(d)); err != nil { // the cause would repeat the password
			return invalid("write postgres://USER@HOST:PORT/NAME, with signs such as @ and / in a password percent-encoded", "the database URL cannot be read")
		}
		return nil
	}
	if scheme, _, ok := strings.Cut(string(d), "://"); ok {
		return invalid("write the path of an SQLite file or a postgres:// URL", "%q databases are not supported", scheme)
	}
	return nil
}

// password reports whether a password stands in the URL.
func (d Database) password() bool {
	u, err := url.Parse(string(d))
	if err != nil || !d.Postgres() {
		return false
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password") || u.Query().Has("sslpassword")
}

// String is the database without its password.
func (d Database) String() string {
	if !d.Postgres() {
		return string(d)
	}
	u, err := url.Parse(string(d))
	if err != nil {
		return "postgres://(unreadable)"
	}
	q := u.Query()
	for _, key := range []string{"password", "sslpassword"} {
		if q.Has(key) {
			q.Set(key, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}

// GoString is String, for %#v.
func (d Database) GoString() string { return d.String() }

// MarshalText is String, for JSON and logs.
func (d Database) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText may have shortened, so it is for files.
func (d *Database) UnmarshalText(b []byte) error {
	*d = Database(b)
	return d.check()
}
