package certdeploy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// serverConfig is what server.yml says.
type serverConfig struct {
	logging
	key                          string // file of the private key to log in with
	clients                      []peer
	failFast, parallel           bool
	tcpTimeout, banner, auth     time.Duration
	renew                        schedule
	exec                         string // empty when there is none
	args                         []string
	renewTimeout                 time.Duration
	pushInterval, retryInterval  time.Duration
	retries                      int64
	joinTimeout                  time.Duration
	queueDir                     string
	clientDir, renewAt, renewDay string
	skipped                      []string // entries of the directory that are no clients
}

// defaultBanner is how long a peer may take to say who it is; certdeploy's own
// client is away while it deploys.
const defaultBanner = 60 * time.Second

func loadServer(path string) (serverConfig, error) {
	c := serverConfig{
		renew: schedule{every: 1, unit: "day"}, args: []string{"renew"}, banner: defaultBanner,
		retries: 1, retryInterval: 30 * time.Second, queueDir: "/var/run/certdeploy",
	}
	c.exec, _ = exec.LookPath("certbot")
	n, err := readFile(path)
	if err != nil {
		return c, err
	}
	if n.null() {
		return c, invalid("write at least privkey_filename and client_configs", "%s is empty", path)
	}
	if err := c.settings().read(n, "config"); err != nil {
		return c, err
	}
	return c, c.settle()
}

// readFile reads a configuration.
func readFile(path string) (*node, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &missingFile{path}
	}
	if err != nil {
		return nil, err
	}
	n, err := readYAML(text)
	if err != nil {
		return nil, invalid("check indentation, quotes and brackets", "%s is not YAML: %v", path, err)
	}
	return n, nil
}

// missingFile is an error in the words that certdeploy has for it.
type missingFile struct{ path string }

// Error names the file.
func (e *missingFile) Error() string {
	return fmt.Sprintf("[Errno 2] No such file or directory: '%s'", e.path)
}

const (
	notNegative = "be an integer greater than or equal to 0"
	atLeastOne  = "be an integer greater than 0 if set"
)

func (c *serverConfig) settings() settings {
	whole := func(key string, into *time.Duration) func(*node) error {
		return setCount(key, 0, notNegative, func(v int64) { *into = time.Duration(v) * time.Second })
	}
	key := setWord("privkey_filename", &c.key)
	return settings{
		"privkey_filename": key, "private_key_file": key, "privkey_file": key,
		"client_configs": c.readClients, "client_config_directory": setWord("client_config_directory", &c.clientDir),
		"fail_fast": setBool("fail_fast", &c.failFast), "queue_dir": setWord("queue_dir", &c.queueDir),
		"log_level": setWord("log_level", &c.level), "log_filename": setWord("log_filename", &c.file),
		"sftp_log_level": setWord("sftp_log_level", &c.sftpLevel), "sftp_log_filename": setWord("sftp_log_filename", &c.sftpFile),
		"sftp_auth_timeout": setSeconds("sftp_auth_timeout", &c.auth), "sftp_banner_timeout": setSeconds("sftp_banner_timeout", &c.banner), "sftp_tcp_timeout": setSeconds("sftp_tcp_timeout", &c.tcpTimeout),
		"renew_every": c.readEvery, "renew_unit": c.readUnit, "renew_at": setWord("renew_at", &c.renewAt),
		"check_renew": func(n *node) error {
			return settings{"every": c.readEvery, "unit": c.readUnit, "at": setWord("at", &c.renewAt)}.read(n, "check_renew")
		},
		"renew_exec": setWord("renew_exec", &c.exec), "renew_args": c.readArgs, "renew_timeout": setSeconds("renew_timeout", &c.renewTimeout),
		"push_mode": c.readMode, "push_interval": whole("push_interval", &c.pushInterval),
		"push_retries":        setCount("push_retries", 0, notNegative, func(v int64) { c.retries = v }),
		"push_retry_interval": whole("push_retry_interval", &c.retryInterval),
		"join_timeout":        setSeconds("join_timeout", &c.joinTimeout),
	}
}

// readEvery reads a number of units, or, as in older manuals, a unit.
func (c *serverConfig) readEvery(n *node) error {
	if word, ok := n.word(); ok {
		if u, ok := unitOf(word); ok {
			c.renewDay = u
			return nil
		}
	}
	return setCount("renew_every", 1, atLeastOne, func(v int64) { c.renew.every = v })(n)
}

func (c *serverConfig) readUnit(n *node) error {
	if n.null() {
		return nil
	}
	u, ok := unitOf(n.text)
	if n.kind != scalar || !ok {
		return badValue(n, "renew_unit", unitWords)
	}
	c.renew.unit = u
	return nil
}

func (c *serverConfig) readArgs(n *node) error {
	args, ok := n.words()
	if !ok {
		return badValue(n, "renew_args", "be a list of arguments")
	}
	c.args = args
	return nil
}

func (c *serverConfig) readMode(n *node) error {
	switch n.text {
	case "serial", "parallel":
		c.parallel = n.text == "parallel"
		return nil
	}
	return badValue(n, "push_mode", `be "serial" or "parallel"`)
}

// words are scalars of a list; a single one is a list of one.
func (n *node) words() ([]string, bool) {
	switch {
	case n.null():
		return nil, true
	case n.kind == scalar:
		return []string{n.text}, true
	case n.kind != list:
		return nil, false
	}
	var out []string
	for _, i := range n.items {
		if i.kind != scalar {
			return nil, false
		}
		out = append(out, i.text)
	}
	return out, true
}

func (c *serverConfig) readClients(n *node) error {
	if n.null() {
		return nil
	}
	if n.kind != list {
		return badValue(n, "client_configs", "be a list of clients")
	}
	for _, entry := range n.items {
		p, err := readPeer(entry)
		if err != nil {
			return err
		}
		c.clients = append(c.clients, p)
	}
	return nil
}

// settle does what needs all settings, and looks whether files are there.
func (c *serverConfig) settle() error {
	if err := c.logging.check(); err != nil {
		return err
	}
	if c.renewDay != "" {
		c.renew.unit = c.renewDay
	}
	if c.renewAt != "" {
		at, err := parseAt(c.renew.unit, c.renewAt)
		if err != nil {
			return err
		}
		c.renew.at = at
	}
	if info, err := os.Stat(c.key); err != nil || !info.Mode().IsRegular() {
		return badValue(&node{text: c.key, quoted: c.key != ""}, "privkey_filename", "be a file that exists")
	}
	if err := c.readDirectory(); err != nil {
		return err
	}
	if len(c.clients) == 0 {
		return invalid("list at least one under client_configs", "No client configs given.")
	}
	for i := range c.clients {
		c.clients[i].inherit(c)
	}
	return c.checkQueueDir()
}

// readDirectory appends the clients that have files of their own, by name.
func (c *serverConfig) readDirectory() error {
	entries, err := os.ReadDir(c.clientDir)
	if c.clientDir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return invalid("let this user read the folder", "read client_config_directory: %v", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(c.clientDir, e.Name())
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			c.skipped = append(c.skipped, path)
			continue
		}
		n, err := readFile(path)
		if err != nil {
			return err
		}
		if n.null() {
			c.skipped = append(c.skipped, path)
			continue
		}
		p, err := readPeer(n)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.clients = append(c.clients, p)
	}
	return nil
}

func (c *serverConfig) checkQueueDir() error {
	probe, err := os.CreateTemp(c.queueDir, ".certfleet-probe-*")
	if err != nil {
		return badValue(&node{text: c.queueDir, quoted: true}, "queue_dir", "exist and be a directory writable by CertDeploy")
	}
	probe.Close()
	return os.Remove(probe.Name())
}

// wanting are the clients that need one of the names.
func (c *serverConfig) wanting(names []string) (out []peer) {
	for _, p := range c.clients {
		if slices.ContainsFunc(names, p.wants) {
			out = append(out, p)
		}
	}
	return out
}
