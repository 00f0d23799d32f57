package redis

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	goredis "github.com/redis/go-redis/v9"
)

// Config says which Redis to write to, how, and which edges to tell.
type Config struct {
	// URL of the server: redis://[user@]host[:port][/database], rediss:// for TLS,
	// unix:///path/to/socket?db=9. With a password in it a reference: file:/path or
	// env:NAME. Empty means redis://127.0.0.1:6379/9; a URL without a database means
	// database 9.
	URL string `json:"url,omitempty" doc:"The URL of the server, or file:PATH or env:NAME of it; empty means redis://127.0.0.1:6379/9."`
	// Password of the server, as file:/path or env:NAME; it wins over the URL's.
	Password string `json:"password,omitempty" doc:"Where the server's password is, file:PATH or env:NAME; it wins over the URL's."`
	// CA is a PEM file to trust for TLS; empty means the system's.
	CA string `json:"ca,omitempty" doc:"A PEM file to trust for TLS; empty means the system's."`
	// Addrs are more addresses (host:port) beside the URL's: of the cluster, or
	// of the sentinels when Master is set.
	Addrs []string `json:"addrs,omitempty" doc:"More addresses (host:port) beside the URL's, of the cluster or of the sentinels."`
	// Master is the name that the sentinels at the URL's address know the server by.
	Master string `json:"master,omitempty" doc:"The name that the sentinels know the server by."`
	// SentinelPassword as file:/path or env:NAME.
	SentinelPassword string `json:"sentinel_password,omitempty" doc:"Where the sentinels' password is, file:PATH or env:NAME."`
	// Cluster says that this is a Redis Cluster; it has no databases.
	Cluster bool `json:"cluster,omitempty" doc:"This is a Redis Cluster; it has no databases."`
	// Layout is 1 or 2 as peter_sslers wrote them, or 3; zero means 3.
	Layout int `json:"layout,omitempty" doc:"1 or 2 as peter_sslers wrote them, or 3; zero means 3."`
	// Prefix stands before every key; the edges must be given the same.
	Prefix string `json:"prefix,omitempty" doc:"What stands before every key; the edges must be given the same."`
	// RSABeside keeps an RSA pair beside an ECDSA pair of the same name instead
	// of letting the newer of both win. Layout 3 only.
	RSABeside bool `json:"rsa_beside,omitempty" doc:"Keep an RSA pair beside an ECDSA pair of the same name; layout 3 only."`
	// SealKey is a file with 32 bytes (raw, hex or base64), as file:/path or
	// env:NAME, under which keys are sealed; the edges hold the same file. Empty
	// writes clear keys. Layout 3 only.
	SealKey string `json:"seal_key,omitempty" doc:"Where the 32 bytes are that keys are sealed under, file:PATH or env:NAME; empty writes clear keys; layout 3 only."`
	// TTL is how long entries live: "not_after" until the certificate expires,
	// "none" for ever, or a duration such as 30d after each write. Empty means
	// not_after for layout 3 and none for the others.
	TTL string `json:"ttl,omitempty" doc:"How long entries live: not_after, none, or a duration such as 30d; empty means not_after for layout 3, else none."`
	// Timeouts of layout 1 by kind in seconds, where zero means TTL.
	Timeouts Timeouts `json:"timeouts,omitzero" doc:"Lifetimes of layout 1 by kind in seconds, where zero means ttl."`
	// Timeout of one exchange with Redis; zero means 5s.
	Timeout certfleet.Duration `json:"timeout,omitempty" doc:"The bound of one exchange with Redis; zero means 5s."`
	// Edges are told over HTTP what changed, after it was written.
	Edges []Edge `json:"edges,omitempty" doc:"The nginx servers that are told over HTTP what changed."`
}

// Timeouts are lifetimes in seconds, as peter_sslers' redis.timeout.* options name them.
type Timeouts struct {
	Cert      int `json:"cert,omitempty"`
	CertChain int `json:"certcachain,omitempty"`
	PKey      int `json:"pkey,omitempty"`
	Domain    int `json:"domain,omitempty"`
}

// The defaults that Config names.
const (
	defaultURL      = "redis://127.0.0.1:6379/9"
	defaultDatabase = 9
	defaultTimeout  = 5 * time.Second
)

// settled is a Config whose words are checked.
type settled struct {
	Config
	options *goredis.UniversalOptions
	seal    *sealer // nil writes clear keys
	ttl     time.Duration
	edges   []edge
}

// The two lifetimes that are no duration.
const (
	untilExpiry time.Duration = 0
	forever     time.Duration = -1
)

func invalid(advice string, cause error, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice, Err: cause}
}

func settle(c Config) (s settled, err error) {
	s.Config = c
	s.Layout = cmp.Or(c.Layout, 3)
	switch {
	case s.Layout < 1 || s.Layout > 3:
		return s, invalid("use 1, 2 or 3", nil, "layout %d is not known", c.Layout)
	case s.Layout != 3 && (c.RSABeside || c.SealKey != ""):
		return s, invalid("use layout 3, or leave rsa_beside and seal_key out", nil, "layout %d has neither sealed keys nor a second pair", c.Layout)
	case c.Cluster && c.Master != "":
		return s, invalid("leave out one of cluster and master", nil, "a server is either in a cluster or behind sentinels")
	}
	if s.ttl, err = parseTTL(c.TTL, s.Layout); err != nil {
		return s, err
	}
	if s.seal, err = openSealer(c.SealKey); err != nil {
		return s, err
	}
	if s.edges, err = settleEdges(c.Edges); err != nil {
		return s, err
	}
	s.options, err = options(c)
	return s, err
}

func parseTTL(s string, layout int) (time.Duration, error) {
	switch {
	case s == "not_after", s == "" && layout == 3:
		return untilExpiry, nil
	case s == "none", s == "":
		return forever, nil
	}
	var d certfleet.Duration
	if err := d.UnmarshalText([]byte(s)); err != nil || d < certfleet.Duration(time.Minute) {
		return 0, invalid("write not_after, none, or a duration of a minute or more such as 30d", err, "ttl %q cannot be used", s)
	}
	return time.Duration(d), nil
}

// options reads the URL; no error repeats it, for the password that may be in it.
func options(c Config) (*goredis.UniversalOptions, error) {
	url, err := reference(cmp.Or(c.URL, defaultURL))
	if err != nil {
		return nil, err
	}
	o, err := goredis.ParseURL(url)
	if err != nil {
		return nil, invalid("write redis://host:6379/9, rediss://host:6379/9 or unix:///path/to/socket?db=9", nil, "the url of Redis cannot be read")
	}
	timeout := time.Duration(cmp.Or(c.Timeout, certfleet.Duration(defaultTimeout)))
	u := &goredis.UniversalOptions{
		Addrs: append([]string{o.Addr}, c.Addrs...), DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		MasterName: c.Master, IsClusterMode: c.Cluster, Protocol: 2, DisableIdentity: true, MaxRetries: 1, DialerRetries: 1, PoolSize: 4,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
	}
	if !namesDatabase(url) {
		u.DB = defaultDatabase
	}
	if c.Cluster {
		u.DB = 0
	}
	return u, secure(u, c)
}

// namesDatabase says whether the URL has a path (or db=) that picks a database.
func namesDatabase(url string) bool {
	scheme, rest, _ := strings.Cut(url, "://")
	rest, query, _ := strings.Cut(rest, "?")
	if strings.Contains("&"+query, "&db=") {
		return true
	}
	_, path, _ := strings.Cut(rest, "/")
	return scheme != "unix" && path != ""
}

func secure(u *goredis.UniversalOptions, c Config) error {
	if c.Password != "" {
		p, err := dial.Reference(c.Password)
		if err != nil {
			return fmt.Errorf("password of Redis: %w", err)
		}
		u.Password = string(p)
	}
	if c.SentinelPassword != "" {
		p, err := dial.Reference(c.SentinelPassword)
		if err != nil {
			return fmt.Errorf("password of the sentinels: %w", err)
		}
		u.SentinelPassword = string(p)
	}
	if c.CA == "" {
		return nil
	}
	pool, err := readCA(c.CA)
	if err != nil {
		return err
	}
	if u.TLSConfig == nil {
		return invalid("write the url with rediss://, or leave ca out", nil, "a ca is given, but the url does not ask for TLS")
	}
	u.TLSConfig.RootCAs = pool
	u.TLSConfig.MinVersion = tls.VersionTLS12
	return nil
}

// reference opens file: and env:, and takes anything else as it is.
func reference(s string) (string, error) {
	if !strings.HasPrefix(s, "file:") && !strings.HasPrefix(s, "env:") {
		return s, nil
	}
	b, err := dial.Reference(s)
	return string(b), err
}

func readCA(path string) (*x509.CertPool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, invalid("name a readable PEM file", err, "ca %q cannot be read", path)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, invalid("put the CA's certificate into it, as PEM", nil, "ca %q holds no certificate", path)
	}
	return pool, nil
}
