// Package files is the target that writes certificates where a server on this
// machine reads them.
package files

import (
	"cmp"
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
)

// Layout is how the files lie in the folder.
type Layout string

// The layouts, the default first.
const (
	Certbot     Layout = "certbot"
	HAProxy     Layout = "haproxy"
	PeterSSLers Layout = "peter_sslers"
)

// Config says where and how certificates are written.
//
// A certificate's label is its file name. A leading "*." becomes "_."; any
// other character that is not a letter, digit, dot, hyphen or underscore is
// written as %XX.
type Config struct {
	// Dir is the folder, an absolute path. It is made if it is not there.
	Dir string `json:"dir" doc:"The folder, an absolute path; it is made if it is not there."`
	// Layout of the folder:
	//
	// certbot: live/NAME/{cert,chain,fullchain,privkey}.pem, where live/NAME is
	// one symbolic link to archive/NAME/GENERATION that is swapped as a whole.
	//
	// haproxy: NAME.pem with key and full chain. What is in the making lies
	// beside the folder, in .certfleet-FOLDER on the same file system.
	//
	// peter_sslers: FACTORY/NAME/primary/{cert,chain,fullchain,pkey,privkey}.pem,
	// where FACTORY/NAME is one symbolic link, swapped as a whole.
	//
	// Empty means certbot.
	Layout Layout `json:"layout,omitempty" doc:"How the files lie in the folder: certbot, haproxy or peter_sslers; empty means certbot."`
	// Factory is the folder of layout peter_sslers; empty means global.
	Factory string `json:"factory,omitempty" doc:"The folder of layout peter_sslers; empty means global."`
	// Links are more names of a certificate in the folder, by label: symbolic
	// links to its NAME. Layout haproxy has none, it would serve them twice.
	Links map[string][]string `json:"links,omitempty" doc:"More names of a certificate in the folder, by its label; layout haproxy has none."`
	// Owner of files and folders, a user's name or number; empty means whoever
	// runs certfleet. Only root may give files away.
	Owner string `json:"owner,omitempty" doc:"The owner of files and folders, a name or number; empty means whoever runs certfleet."`
	// Group of files and folders, a name or number; empty means the owner's own.
	Group string `json:"group,omitempty" doc:"The group of files and folders, a name or number; empty means the owner's own."`
	// Mode of files that hold a key, octal; empty means 0600. Certificates
	// alone are 0644.
	Mode string `json:"mode,omitempty" doc:"The mode of files that hold a key, octal; empty means 0600."`
	// DirMode is the mode of folders that are made, octal; empty means 0700.
	DirMode string `json:"dir_mode,omitempty" doc:"The mode of folders that are made, octal; empty means 0700."`
	// Keep is how many generations stay on disk; zero means 3, the least is 2.
	Keep int `json:"keep,omitempty" doc:"How many generations stay on disk; zero means 3, the least is 2."`
	// Command runs after a change, as a list without a shell: once for all that
	// changed together. CERTFLEET_LINEAGE holds the paths, one a line, and
	// CERTFLEET_DOMAINS the names with spaces between. When one certificate
	// changed, RENEWED_LINEAGE and RENEWED_DOMAINS say the same as certbot does.
	// A command that failed runs again with the next try.
	Command []string `json:"command,omitempty" doc:"The program to run after a change and its arguments, without a shell."`
	// CommandEach runs Command once for each certificate that changed.
	CommandEach bool `json:"command_each,omitempty" doc:"Run command once for each certificate that changed."`
	// Updaters tell services of a change, after Command, in the order in which they
	// are written, or that their field order says: systemd, nginx, haproxy, docker_container and others, each with
	// its settings. One that failed runs again with the next try.
	Updaters config.Sections `json:"updaters,omitempty" doc:"Services to tell of a change, by label, in the order of their field order and then of their labels: {\"web\": {\"type\": \"systemd\", \"unit\": \"nginx\"}}."`
	// FailFast leaves out the updaters after one that failed.
	FailFast bool `json:"fail_fast,omitempty" doc:"Leave out the updaters after one that failed."`
	// Timeout ends Command and everything it started; zero means 30s.
	Timeout certfleet.Duration `json:"timeout,omitempty" doc:"When command and everything it started is ended; zero means 30s."`
}

// The defaults that Config names.
const (
	keyMode     fs.FileMode = 0o600
	certMode    fs.FileMode = 0o644
	dirMode     fs.FileMode = 0o700
	generations             = 3
	timeout                 = 30 * time.Second
)

// settled is a Config whose words are numbers.
type settled struct {
	Config
	key, dirs fs.FileMode
	uid, gid  int // -1 leaves it as it is
}

func invalid(advice string, cause error, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice, Err: cause}
}

func settle(c Config) (settled, error) {
	s := settled{Config: c}
	s.Layout, s.Factory = cmp.Or(c.Layout, Certbot), cmp.Or(c.Factory, "global")
	s.Timeout, s.Keep = cmp.Or(c.Timeout, certfleet.Duration(timeout)), max(2, cmp.Or(c.Keep, generations))
	var err error
	switch {
	case !filepath.IsAbs(c.Dir) || filepath.Clean(c.Dir) == "/":
		return s, invalid("give an absolute path below the root, such as /etc/ssl/fleet", nil, "dir %q cannot be used", c.Dir)
	case s.Layout != Certbot && s.Layout != HAProxy && s.Layout != PeterSSLers:
		return s, invalid("use one of certbot, haproxy, peter_sslers", nil, "layout %q is not known", c.Layout)
	case s.Layout == HAProxy && len(c.Links) > 0:
		return s, invalid("leave links out, or use layout certbot", nil, "layout haproxy has no links")
	}
	s.Dir = filepath.Clean(c.Dir)
	if err = s.checkNames(); err != nil {
		return s, err
	}
	if s.key, err = parseMode("mode", c.Mode, keyMode); err != nil {
		return s, err
	}
	if s.dirs, err = parseMode("dir_mode", c.DirMode, dirMode); err != nil {
		return s, err
	}
	return s, s.findOwners()
}

// checkNames refuses links and factories that are not plain file names.
func (s *settled) checkNames() error {
	if s.Factory != "" && !harmless(s.Factory) {
		return invalid("use letters, digits, dots, hyphens and underscores", nil, "factory %q is not a plain folder name", s.Factory)
	}
	for label, links := range s.Links {
		for _, l := range links {
			if !harmless(l) {
				return invalid("use letters, digits, dots, hyphens and underscores", nil, "link %q of certificate %q is not a plain file name", l, label)
			}
		}
	}
	return nil
}

func parseMode(field, s string, or fs.FileMode) (fs.FileMode, error) {
	if s == "" {
		return or, nil
	}
	n, err := strconv.ParseUint(s, 8, 32)
	switch {
	case err != nil || n > 0o777:
		return 0, invalid("write three octal digits after a zero, such as 0640", err, "%s %q is not a file mode", field, s)
	case n&0o007 != 0 && field == "mode":
		return 0, invalid("use 0640 with a group instead", nil, "mode %s lets everybody on the machine read the key", s)
	case n&0o400 == 0:
		return 0, invalid("let the owner read it, such as 0600", nil, "%s %s does not let the owner read", field, s)
	}
	return fs.FileMode(n), nil
}

func (s *settled) findOwners() (err error) {
	s.uid, s.gid = -1, -1
	if s.Owner != "" {
		if s.uid, err = number(s.Owner, func(n string) (string, error) { u, err := user.Lookup(n); return idOf(u, err) }); err != nil {
			return invalid("create the user, or correct its name", err, "owner %q is not known on this machine", s.Owner)
		}
	}
	if s.Group != "" {
		if s.gid, err = number(s.Group, func(n string) (string, error) { g, err := user.LookupGroup(n); return gidOf(g, err) }); err != nil {
			return invalid("create the group, or correct its name", err, "group %q is not known on this machine", s.Group)
		}
	}
	return nil
}

func number(s string, lookup func(string) (string, error)) (int, error) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return int(n), nil
	}
	id, err := lookup(s)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(id)
}

func idOf(u *user.User, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func gidOf(g *user.Group, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
