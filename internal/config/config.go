// Package config reads the configuration file: YAML to structs, with defaults,
// line numbers and advice. It constructs nothing.
package config

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/certfleet/certfleet"
)

// Config is everything that a node is told before it starts. What the fleet
// consists of (certificates, policies, targets, accounts) is in the database.
// Every field is explained, with its default, in the file that Write makes; a
// zero value in the file means that default.
type Config struct {
	Database       Database  `json:"database"`
	StateDir       string    `json:"state_dir"`
	SealingKey     Reference `json:"sealing_key"`
	Contact        []string  `json:"contact"`
	Listen         Listen    `json:"listen"`
	PublicURL      string    `json:"public_url"`
	TLS            TLS       `json:"tls"`
	Edge           Edge      `json:"edge"`
	OnDemand       OnDemand  `json:"on_demand"`
	Certbot        Certbot   `json:"certbot"`
	Insecure       bool      `json:"insecure"`
	TrustedProxies Prefixes  `json:"trusted_proxies"`
	Log            Log       `json:"log"`
	DNS            DNS       `json:"dns"`
	Preflight      Preflight `json:"preflight"`
	Solvers        Sections  `json:"solvers"`
	Probe          Probe     `json:"probe"`
	Outbound       Outbound  `json:"outbound"`
	Limits         Limits    `json:"limits"`
	Retention      Retention `json:"retention"`
	Work           Work      `json:"work"`
	Shutdown       Shutdown  `json:"shutdown"`

	// Path of the file that was read; empty when there was none.
	Path string `json:"-"`
	// Warnings are sentences about what works but should be changed.
	Warnings []string `json:"-"`
	Places   Places   `json:"-"` // where its settings stand
}

// Listen says where this node listens.
type Listen struct {
	API       Address `json:"api"`
	HTTP01    Address `json:"http01"`
	TLSALPN01 Address `json:"tlsalpn01"`
	Edge      Address `json:"edge"`
	Agents    Address `json:"agents"`
}

// DefaultEdgePrefix is the root of the routes of peter_sslers since its release 0.6.
const DefaultEdgePrefix = "/.well-known/peter_sslers"

// Edge says how edges are answered that look up what a name serves.
type Edge struct {
	Prefixes []string `json:"prefixes"`
	Trusted  Prefixes `json:"trusted"`
	Plain    bool     `json:"plain"`
}

// OnDemand says what is ordered when an edge is asked for a name that has no
// certificate. Without a rule nothing is.
type OnDemand struct {
	Inventory bool               `json:"inventory"`
	Patterns  []string           `json:"patterns"`
	Ask       string             `json:"ask"`
	Policy    string             `json:"policy"`
	Targets   []string           `json:"targets"`
	Labels    int                `json:"labels"`
	PerDomain int                `json:"per_domain"`
	PerTenant int                `json:"per_tenant"`
	Wait      certfleet.Duration `json:"wait"`
	DenyFor   certfleet.Duration `json:"deny_for"`
}

// Certbot names folders of certbot, which stays the issuer of what is in them.
type Certbot struct {
	Watch   []string           `json:"watch"`
	Every   certfleet.Duration `json:"every"`
	Policy  string             `json:"policy"`
	Targets []string           `json:"targets"`
}

// TLS says how the API is served.
type TLS struct {
	Certificate string `json:"certificate"`
	Plain       bool   `json:"plain"`
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level `json:"level"`
	Format string     `json:"format"`
	ACME   slog.Level `json:"acme"`
}

// DNS says whom to ask. Resolvers are host:port; none means the system's.
type DNS struct {
	Resolvers []string `json:"resolvers"`
}

// Preflight says whether names are looked at before an order goes out, and what
// is known of names that are ours: the networks and the CNAMEs they point to.
type Preflight struct {
	Mode      string   `json:"mode"`
	Addresses Prefixes `json:"addresses"`
	Names     []string `json:"names"`
}

// The modes of a preflight.
const (
	PreflightAuto = "auto" // on, but not for authorities of our own
	PreflightOn   = "on"   // what must fail is not ordered
	PreflightWarn = "warn" // everything is ordered; what was seen is said
	PreflightOff  = "off"  // nobody looks
)

// Probe says how handshakes with edges are made and judged.
type Probe struct {
	Roots   string             `json:"roots"`
	Timeout certfleet.Duration `json:"timeout"`
	PerHour int                `json:"per_hour"`
}

// Outbound opens private networks to requests whose URL came from data.
type Outbound struct {
	Allow Prefixes `json:"allow"`
}

// Limits bounds what callers may send.
type Limits struct {
	Body Size `json:"body"`
}

// Retention says how long records are kept that are not changes.
type Retention struct {
	Exchanges certfleet.Duration `json:"exchanges"`
	Lookups   certfleet.Duration `json:"lookups"`
	Events    certfleet.Duration `json:"events"`
}

// Work says how much is done at a time.
type Work struct {
	Workers int `json:"workers"`
}

// Shutdown says how long steps in flight may take to end.
type Shutdown struct {
	Grace certfleet.Duration `json:"grace"`
}

const day = certfleet.Duration(24 * time.Hour)

// Default is the configuration of an empty file.
func Default() *Config {
	return &Config{
		StateDir:  "/var/lib/certfleet",
		Listen:    Listen{API: "127.0.0.1:7443", HTTP01: ":80", TLSALPN01: Off, Edge: Off, Agents: Off},
		OnDemand:  OnDemand{Labels: 3, PerDomain: 50, PerTenant: 1000, Wait: certfleet.Duration(15 * time.Second), DenyFor: certfleet.Duration(5 * time.Minute)},
		Certbot:   Certbot{Every: certfleet.Duration(30 * time.Second), Policy: "default"},
		Edge:      Edge{Prefixes: []string{DefaultEdgePrefix}},
		Log:       Log{Format: "text"},
		Preflight: Preflight{Mode: PreflightAuto},
		Probe:     Probe{Timeout: certfleet.Duration(10 * time.Second), PerHour: 20000},
		Limits:    Limits{Body: 1 << 20},
		Retention: Retention{Exchanges: 30 * day, Lookups: 7 * day, Events: 400 * day},
		Work:      Work{Workers: 24},
		Shutdown:  Shutdown{Grace: certfleet.Duration(30 * time.Second)},
	}
}

// DefaultDatabase is used when the file names none.
func (c *Config) DefaultDatabase() Database {
	return Database(filepath.Join(c.StateDir, "certfleet.db"))
}

// KeyReference is where the sealing key is: as configured, or sealing.key in
// the state folder.
func (c *Config) KeyReference() Reference {
	if c.SealingKey != "" {
		return c.SealingKey
	}
	return Reference("file:" + filepath.Join(c.StateDir, "sealing.key"))
}

// BaseURL is where others reach the API, without a trailing slash: public_url,
// or the listener's own address.
func (c *Config) BaseURL() string {
	switch {
	case c.PublicURL != "":
		return c.PublicURL
	case c.TLS.Plain:
		return "http://" + string(c.Listen.API)
	}
	return "https://" + string(c.Listen.API)
}
