package agent

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/target/files"
)

// DefaultPath is the file that is read when none is named.
const DefaultPath = "/etc/certfleet/agent.yaml"

// Config is what an agent can be told.
type Config struct {
	// Staging is the folder into which certificates are pushed, an absolute path;
	// empty means /var/lib/certfleet/staging.
	Staging string `json:"staging,omitempty"`
	// Dir is the folder in which they go live, an absolute path; empty means
	// /etc/certfleet/certificates. Services read DIR/live/NAME/fullchain.pem and
	// privkey.pem there, with layout certbot.
	Dir string `json:"dir,omitempty"`
	// Layout of Dir: certbot, haproxy, peter_sslers or certdeploy; empty means
	// certbot. With certdeploy DIR/NAME holds what was pushed, byte for byte.
	Layout files.Layout `json:"layout,omitempty"`
	// Owner and Group of what is live, names or numbers; empty means whoever runs
	// the agent.
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
	// Mode of files that hold a key, octal; empty means 0600.
	Mode string `json:"mode,omitempty"`
	// DirMode is the mode of folders, octal; empty means 0700.
	DirMode string `json:"dir_mode,omitempty"`
	// Keep is how many generations stay on disk; zero means 3.
	Keep int `json:"keep,omitempty"`
	// UpdateDelay is how long the daemon waits after a change for further ones
	// before it runs the updaters; zero means at once.
	UpdateDelay certfleet.Duration `json:"update_delay,omitempty"`
	// MaxWait bounds that wait when changes do not end; zero means 10m.
	MaxWait certfleet.Duration `json:"max_wait,omitempty"`
	// FailFast leaves out the updaters after one that failed.
	FailFast bool `json:"fail_fast,omitempty"`
	// Updaters by label, run in the order of the file.
	Updaters config.Sections `json:"updaters,omitempty"`
	// Identity is the file in which join keeps who this agent is to its manager;
	// empty means /var/lib/certfleet/identity.json.
	Identity string `json:"identity,omitempty"`
	// Alone says that it has no manager, whatever identity lies on this machine.
	Alone bool `json:"-"`
	// Serves are addresses (host:port) of the service here. After a change the agent
	// looks at them and tells its manager what they serve.
	Serves []string `json:"serves,omitempty"`
	// SFTP is the daemon's own server. One-shot use needs none.
	SFTP SFTP `json:"sftp,omitempty"`
}

// SFTP is about the daemon's own server.
type SFTP struct {
	// Listen is where it listens; empty means :2222.
	Listen config.Address `json:"listen,omitempty"`
	// User is the only one who may log in; empty means certfleet.
	User string `json:"user,omitempty"`
	// HostKeys are files with private keys; empty means
	// /var/lib/certfleet/host_ed25519. The first is made if it is not there.
	HostKeys []string `json:"host_keys,omitempty"`
	// AuthorizedKeys are the pushers' public keys, as in authorized_keys without
	// options.
	AuthorizedKeys []string `json:"authorized_keys,omitempty"`
	// AuthorizedKeysFile holds more of them, one a line. It is read at each login.
	AuthorizedKeysFile string `json:"authorized_keys_file,omitempty"`
	// Paths are more absolute paths by which pushers may name the staging folder;
	// certdeploy's servers say /var/cache/certdeploy.
	Paths []string `json:"paths,omitempty"`
	// MaxFile bounds one file; zero means 256KiB.
	MaxFile config.Size `json:"max_file,omitempty"`
	// MaxConnections at a time; zero means 64.
	MaxConnections int `json:"max_connections,omitempty"`
	// Handshake bounds the time until a client has logged in; zero means 20s.
	Handshake certfleet.Duration `json:"handshake,omitempty"`
	// Idle ends a connection on which nothing moves; zero means 60s.
	Idle certfleet.Duration `json:"idle,omitempty"`
	// Session bounds a connection as a whole; zero means 30m.
	Session certfleet.Duration `json:"session,omitempty"`
}

// maxConfig bounds the file, in bytes.
const maxConfig = 1 << 20

// Load reads a configuration file; all its problems come at once.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("configuration %q cannot be read", path), Advice: "create it, or name yours with --config FILE", Err: err}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(text, path)
}

// Parse reads a configuration; name is for messages.
func Parse(text []byte, name string) (Config, error) {
	var c Config
	s, err := config.NewSection(name, "", text)
	if err != nil {
		return c, err
	}
	if err := s.Decode(&c); err != nil {
		return c, err
	}
	return c.settled(), c.settled().check()
}

func (c Config) settled() Config {
	c.Staging = filepath.Clean(cmp.Or(c.Staging, "/var/lib/certfleet/staging"))
	c.Dir = filepath.Clean(cmp.Or(c.Dir, "/etc/certfleet/certificates"))
	c.Identity = cmp.Or(c.Identity, "/var/lib/certfleet/identity.json")
	c.MaxWait = cmp.Or(c.MaxWait, certfleet.Duration(10*time.Minute))
	s := &c.SFTP
	s.Listen, s.User = cmp.Or(s.Listen, ":2222"), cmp.Or(s.User, "certfleet")
	if len(s.HostKeys) == 0 {
		s.HostKeys = []string{"/var/lib/certfleet/host_ed25519"}
	}
	s.MaxFile, s.MaxConnections = cmp.Or(s.MaxFile, 256<<10), cmp.Or(s.MaxConnections, 64)
	s.Handshake = cmp.Or(s.Handshake, certfleet.Duration(20*time.Second))
	s.Idle, s.Session = cmp.Or(s.Idle, certfleet.Duration(time.Minute)), cmp.Or(s.Session, certfleet.Duration(30*time.Minute))
	return c
}

// live is how certificates lie where services read them.
func (c Config) live() files.Config {
	return files.Config{Dir: c.Dir, Layout: c.Layout, Owner: c.Owner, Group: c.Group, Mode: c.Mode, DirMode: c.DirMode, Keep: c.Keep}
}

func (c Config) check() error {
	for field, p := range map[string]string{"staging": c.Staging, "dir": c.Dir} {
		if !filepath.IsAbs(p) || p == "/" {
			return invalid("write an absolute path below the root", "%s: %q cannot be used", field, p)
		}
	}
	for _, p := range append(c.SFTP.HostKeys, c.SFTP.Paths...) {
		if !filepath.IsAbs(p) {
			return invalid("write an absolute path", "sftp: path %q is not absolute", p)
		}
	}
	switch {
	case within(c.Dir, c.Staging) || within(c.Staging, c.Dir) && c.Layout != Verbatim:
		return invalid("choose two folders, neither of them within the other", "staging %q and dir %q overlap", c.Staging, c.Dir)
	case c.UpdateDelay < 0 || c.MaxWait < c.UpdateDelay:
		return invalid("let max_wait be at least update_delay", "max_wait is shorter than update_delay")
	case c.SFTP.MaxConnections < 1 || c.SFTP.MaxFile < 1 || c.SFTP.Handshake < 0 || c.SFTP.Idle < 0 || c.SFTP.Session < 0:
		return invalid("write positive values, or leave them out", "sftp: a limit is negative")
	}
	return nil
}

func within(p, dir string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

func invalid(advice, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice}
}
