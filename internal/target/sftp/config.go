// Package sftp is the target that pushes certificates to other machines: to a
// plain OpenSSH server, to certfleet-agent, and to certdeploy's client.
//
// On an OpenSSH server PATH/NAME is one symbolic link to a folder of one version,
// which is swapped by one rename, so that nobody ever reads a key of one version
// and a chain of another. A PATH/NAME that is a folder already stays one; its
// files are replaced one by one, each at once. Our agent gets each lineage in one
// piece and answers what it made of it; one of an older release gets the files and,
// last, a manifest. A certdeploy client knows no rename and gets the files in place.
package sftp

import (
	"cmp"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

// Peer is who answers at the other end.
type Peer string

// The peers, the default first.
const (
	Auto       Peer = "auto"
	OpenSSH    Peer = "openssh"
	Agent      Peer = "agent"
	Certdeploy Peer = "certdeploy"
)

// Config says where, as whom, and what is pushed.
type Config struct {
	// Host is a host name or address.
	Host string `json:"host" doc:"A host name or address."`
	// Port; zero means 22.
	Port int `json:"port,omitempty" doc:"The port; zero means 22."`
	// User to log in as; empty means certfleet.
	User string `json:"user,omitempty" doc:"The user to log in as; empty means certfleet."`
	// Key refers to the private key in OpenSSH or PEM form: file:PATH or env:NAME.
	Key string `json:"key" doc:"Where the private key to log in with is, file:PATH or env:NAME."`
	// Passphrase refers to the key's passphrase, if it has one.
	Passphrase string `json:"passphrase,omitempty" doc:"Where the key's passphrase is, file:PATH or env:NAME, if it has one."`
	// HostKeys are the keys that the host may show: lines of known_hosts (the host
	// in them is not looked at) or of a .pub file, or SHA256:... fingerprints.
	// A host that shows another key gets nothing.
	HostKeys []string `json:"host_keys" doc:"The keys that the host may show: lines of known_hosts or of a .pub file, or SHA256:... fingerprints."`
	// Path of the remote folder; empty means the folder after login. A lineage is
	// PATH/NAME, where NAME is the certificate's label with "*." as "_." and other
	// unusual characters as %XX.
	Path string `json:"path,omitempty" doc:"The remote folder; empty means the folder after login."`
	// Peer is openssh, agent or certdeploy; empty or auto means whatever the host
	// introduces itself as. Say agent also when an agent's one-shot sync reads what
	// an OpenSSH server wrote.
	Peer Peer `json:"peer,omitempty" doc:"openssh, agent or certdeploy; empty or auto means whatever the host introduces itself as."`
	// NeedsChain pushes chain.pem too; empty means false.
	NeedsChain bool `json:"needs_chain,omitempty" doc:"Push chain.pem too; empty means false."`
	// NeedsFullchain pushes fullchain.pem; empty means true.
	NeedsFullchain *bool `json:"needs_fullchain,omitempty" doc:"Push fullchain.pem; empty means true."`
	// NeedsPrivkey pushes privkey.pem; empty means true.
	NeedsPrivkey *bool `json:"needs_privkey,omitempty" doc:"Push privkey.pem; empty means true."`
	// Timeout ends a connection on which nothing moves, also before it is
	// established; zero means 60s.
	Timeout certfleet.Duration `json:"timeout,omitempty" doc:"When a connection on which nothing moves is ended; zero means 60s."`
}

// The bounds of one delivery, beside Config.Timeout.
const (
	timeout = 60 * time.Second
	// whole is for everything that travels together.
	whole = 10 * time.Minute
)

// Target pushes to one host.
type Target struct {
	c       Config
	keys    pins
	d       dial.Deps
	inPlace bool

	filesOnly bool // our agent gets files too, as one of an older release does
}

// InPlace makes it write files under their own names at plain servers too, as
// certdeploy's server does: what a one-shot client of certdeploy's takes from
// there are folders, and it follows no links.
func (t *Target) InPlace() *Target {
	t.inPlace = true
	return t
}

func invalid(advice string, cause error, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice, Err: cause}
}

// New checks the configuration; it connects nowhere and opens no key.
func New(c Config, d dial.Deps) (*Target, error) {
	c.Port, c.User, c.Peer = cmp.Or(c.Port, 22), cmp.Or(c.User, "certfleet"), cmp.Or(c.Peer, Auto)
	c.Timeout = cmp.Or(c.Timeout, certfleet.Duration(timeout))
	yes := true
	c.NeedsFullchain, c.NeedsPrivkey = cmp.Or(c.NeedsFullchain, &yes), cmp.Or(c.NeedsPrivkey, &yes)
	switch {
	case c.Host == "" || strings.ContainsAny(c.Host, " /@\t\n"):
		return nil, invalid("write a host name or address, and the user apart", nil, "host %q cannot be used", c.Host)
	case c.Port < 1 || c.Port > 65535:
		return nil, invalid("write a port from 1 to 65535", nil, "port %d is none", c.Port)
	case c.Key == "":
		return nil, invalid("set key to file:PATH or env:NAME of the private key to log in with", nil, "target sftp has no key")
	case !slices.Contains([]Peer{Auto, OpenSSH, Agent, Certdeploy}, c.Peer):
		return nil, invalid("use one of auto, openssh, agent, certdeploy", nil, "peer %q is not known", c.Peer)
	case !c.NeedsChain && !*c.NeedsFullchain && !*c.NeedsPrivkey:
		return nil, invalid("let at least one of needs_chain, needs_fullchain and needs_privkey be true", nil, "there is nothing to push")
	case strings.ContainsRune(c.Path, 0):
		return nil, invalid("write the path of a folder", nil, "path %q cannot be used", c.Path)
	}
	if c.Path != "" {
		c.Path = path.Clean(c.Path)
	}
	keys, err := parsePins(c.HostKeys)
	if err != nil {
		return nil, err
	}
	if d.Dial == nil {
		d.Dial = new(net.Dialer).DialContext
	}
	return &Target{c: c, keys: keys, d: d}, nil
}

func (t *Target) addr() string {
	return net.JoinHostPort(strings.Trim(t.c.Host, "[]"), strconv.Itoa(t.c.Port))
}

// signer opens the key to log in with.
func (t *Target) signer() (ssh.Signer, error) {
	text, err := dial.Reference(t.c.Key)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	if t.c.Passphrase == "" {
		k, err := ssh.ParsePrivateKey(text)
		if _, ok := err.(*ssh.PassphraseMissingError); ok {
			return nil, invalid("set passphrase to file:PATH or env:NAME, or take it off with ssh-keygen -p", nil, "the key to log in with has a passphrase")
		}
		return k, badKey(err)
	}
	phrase, err := dial.Reference(t.c.Passphrase)
	if err != nil {
		return nil, err
	}
	defer phrase.Wipe()
	k, err := ssh.ParsePrivateKeyWithPassphrase(text, phrase)
	return k, badKey(err)
}

// badKey does not repeat the cause, which may quote the key.
func badKey(err error) error {
	if err == nil {
		return nil
	}
	return invalid("refer to a private key such as ssh-keygen -t ed25519 makes, and its right passphrase", nil, "the key to log in with cannot be read")
}
