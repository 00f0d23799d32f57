package certdeploy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/config"
)

// clientConfig is what client.yml says.
type clientConfig struct {
	logging
	destination, source    string
	services               []*node
	delay                  time.Duration
	initTime, scriptTime   limit
	dockerTime             limit
	dockerURL, systemd, rc string
	failFast               bool
	owner, group           string
	mode, dirMode          string
	listen                 string // address
	port                   int64
	user, hostKey          string
	pushKey, pushKeyFile   string
	updaters               config.Sections
}

// limit is a timeout of a kind of service; zero means that it waits for ever.
type limit struct{ time.Duration }

// forever is how long a service without a timeout is waited for. A day is for
// ever to a restart, and not to a daemon.
const forever = 24 * time.Hour

func loadClient(path string) (clientConfig, error) {
	c := clientConfig{
		source: "/var/cache/certdeploy", delay: time.Hour, dockerTime: limit{10 * time.Second}, dockerURL: "unix:///var/run/docker.sock",
		port: 22, user: "certdeploy",
	}
	c.systemd, _ = exec.LookPath("systemctl")
	c.rc, _ = exec.LookPath("service")
	n, err := readFile(path)
	if _, ok := errors.AsType[*missingFile](err); ok {
		return c, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("Config file \"%s\" not found", path), Advice: "create it, or name yours with --config", Err: err}
	}
	if err != nil {
		return c, err
	}
	if n.null() {
		return c, invalid("write at least destination", "%s is empty", path)
	}
	if err := c.settings().read(n, "config"); err != nil {
		return c, err
	}
	return c, c.settle()
}

func (c *clientConfig) settings() settings {
	initTime := setLimit("init_timeout", &c.initTime)
	return settings{
		"destination": setWord("destination", &c.destination), "source": setWord("source", &c.source),
		"sftpd": func(n *node) error { return c.sftpd().read(n, "SFTPD config") },
		"file_permissions": func(n *node) error {
			return settings{"owner": setOwner("permissions.owner", &c.owner), "group": setOwner("permissions.group", &c.group), "mode": setMode("permissions.mode", &c.mode), "directory_mode": setMode("permissions.directory_mode", &c.dirMode)}.read(n, "Permissions config")
		},
		"update_services": c.readServices, "update_sevices": c.readServices, "update_delay": c.readDelay,
		"init_timeout": initTime, "systemd_timeout": initTime, "script_timeout": setLimit("script_timeout", &c.scriptTime), "docker_timeout": setLimit("docker_timeout", &c.dockerTime),
		"docker_url": setWord("docker_url", &c.dockerURL), "systemd_exec": setWord("systemd_exec", &c.systemd), "rc_service_exec": setWord("rc_service_exec", &c.rc),
		"fail_fast": setBool("fail_fast", &c.failFast), "log_level": setWord("log_level", &c.level), "log_filename": setWord("log_filename", &c.file),
	}
}

func (c *clientConfig) sftpd() settings {
	key := setWord("sftpd.privkey_filename", &c.hostKey)
	pushKeyFile := setWord("sftpd.server_pubkey_filename", &c.pushKeyFile)
	return settings{
		"listen_port":    setCount("sftpd.listen_port", 0, "be a port number", func(v int64) { c.port = v }),
		"listen_address": setWord("sftpd.listen_address", &c.listen), "username": setWord("sftpd.username", &c.user),
		"privkey_filename": key, "privkey_file": key, "private_key_file": key,
		"server_pubkey": setWord("sftpd.server_pubkey", &c.pushKey), "server_pubkey_filename": pushKeyFile, "server_pubkey_file": pushKeyFile,
		"log_level": setWord("sftpd.log_level", &c.sftpLevel), "log_filename": setWord("sftpd.log_filename", &c.sftpFile),
		"socket_backlog": func(*node) error { return nil }, // the kernel's own is used
	}
}

func setLimit(key string, into *limit) func(*node) error {
	return func(n *node) error {
		d, ok := n.seconds()
		if !ok {
			return badValue(n, key, "be a number greater than or equal to 0 or `null`")
		}
		into.Duration = d
		return nil
	}
}

// setOwner reads a name or a number; a number in quotes is one too.
func setOwner(key string, into *string) func(*node) error {
	return func(n *node) error {
		if _, whole := n.integer(); n.kind != scalar || !n.null() && !n.quoted && !whole && strings.Contains(n.text, ".") {
			return badValue(n, key, "be a name or an id if set")
		}
		*into = n.text
		if n.null() {
			*into = ""
		}
		return nil
	}
}

// setMode reads a number, which YAML 1.1 may have in octal, or octal text.
func setMode(key string, into *string) func(*node) error {
	return func(n *node) error {
		if n.null() {
			return nil
		}
		v, ok := n.integer()
		if !ok {
			text := strings.TrimPrefix(strings.ToLower(n.text), "0o")
			u, err := strconv.ParseUint(text, 8, 32)
			v, ok = int64(u), err == nil && n.kind == scalar
		}
		if !ok || v < 1 || v > 0o777 {
			return badValue(n, key, "be an integer greater than or equal to 0 and less than or equal to 511 if set")
		}
		*into = fmt.Sprintf("%04o", v)
		return nil
	}
}

var spans = regexp.MustCompile(`(\d+(?:\.\d+)?)\s*([smhdw])`)

// readDelay adds up numbers with units; other text between them does not count.
func (c *clientConfig) readDelay(n *node) error {
	if n.null() {
		c.delay = 0
		return nil
	}
	found := spans.FindAllStringSubmatch(n.text, -1)
	_, number := n.number()
	if n.kind != scalar || number || found == nil {
		return invalid("write numbers with units, such as 1h 30m", "Invalid value \"%s\" for `update_delay`.", n)
	}
	var total float64
	for _, m := range found {
		v, _ := strconv.ParseFloat(m[1], 64)
		total += v * map[string]float64{"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[m[2]]
	}
	if total > maxSeconds {
		return invalid("write less than a year", "Invalid value \"%s\" for `update_delay`.", n)
	}
	c.delay = time.Duration(total) * time.Second
	return nil
}

func (c *clientConfig) readServices(n *node) error {
	if n.null() {
		return nil
	}
	if n.kind != list {
		return badValue(n, "update_services", "be a list of services")
	}
	c.services = n.items
	return nil
}

func (c *clientConfig) settle() error {
	if err := c.logging.check(); err != nil {
		return err
	}
	for key, dir := range map[string]*string{"destination": &c.destination, "source": &c.source} {
		info, err := os.Stat(*dir)
		if err != nil || !info.IsDir() {
			return badValue(&node{text: *dir, quoted: *dir != ""}, key, "be a directory that exists")
		}
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
	}
	return c.readUpdaters()
}

// agent is the same as a configuration of our agent.
func (c *clientConfig) agent() agent.Config {
	a := agent.Config{
		Staging: c.source, Dir: c.destination, Layout: agent.Verbatim, Alone: true, Owner: c.owner, Group: c.group, Mode: c.mode, DirMode: c.dirMode,
		UpdateDelay: certfleet.Duration(c.delay), MaxWait: certfleet.Duration(max(3*c.delay, 10*time.Minute)), FailFast: c.failFast, Updaters: c.updaters,
	}
	a.SFTP = agent.SFTP{Listen: config.Address(net.JoinHostPort(c.listen, strconv.FormatInt(c.port, 10))), User: c.user}
	if c.pushKeyFile != "" {
		a.SFTP.AuthorizedKeysFile = c.pushKeyFile
	} else if c.pushKey != "" {
		a.SFTP.AuthorizedKeys = []string{c.pushKey}
	}
	if key, err := filepath.Abs(c.hostKey); err == nil {
		a.SFTP.HostKeys = []string{key}
	}
	return a
}

// checkDaemon looks at what only the daemon needs.
func (c *clientConfig) checkDaemon() error {
	if info, err := os.Stat(c.hostKey); err != nil || !info.Mode().IsRegular() {
		return invalid("make a key pair with ssh-keygen -t ed25519 -N '' -f FILE, and name it", "Invalid value \"%s\" for `sftpd.privkey_filename`. `sftpd.privkey_filename` must be a file that exists.", c.hostKey)
	}
	if c.pushKey == "" && c.pushKeyFile == "" {
		return invalid("set sftpd.server_pubkey_filename to the server's public key", "Nobody may push: neither `sftpd.server_pubkey` nor `sftpd.server_pubkey_filename` is given.")
	}
	if info, err := os.Stat(c.pushKeyFile); c.pushKeyFile != "" && (err != nil || !info.Mode().IsRegular()) {
		return badValue(&node{text: c.pushKeyFile, quoted: true}, "sftpd.server_pubkey_filename", "be a file that exists")
	}
	return nil
}
