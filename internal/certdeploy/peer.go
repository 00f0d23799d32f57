package certdeploy

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/sftp"
)

// peer is one entry of client_configs: a machine that certificates are pushed to.
type peer struct {
	address, user, path    string
	port                   int64
	domains                []string
	hostKey                string
	chain, fullchain, key  bool
	retries, retryInterval *int64 // nil for the server's
	target                 *sftp.Target
}

func readPeer(n *node) (peer, error) {
	p := peer{user: "certdeploy", path: "/var/cache/certdeploy", port: 22, fullchain: true, key: true}
	var file string
	count := func(key string, into **int64) func(*node) error {
		return func(n *node) error {
			if n.null() {
				return nil
			}
			return setCount(key, 0, "be an integer greater than or equal to 0 if set", func(v int64) { *into = &v })(n)
		}
	}
	err := settings{
		"address": setWord("address", &p.address), "username": setWord("username", &p.user), "path": setWord("path", &p.path),
		"port":    setCount("port", 1, "be a port number", func(v int64) { p.port = v }),
		"domains": p.readDomains, "pubkey": setWord("pubkey", &p.hostKey), "pubkey_file": setWord("pubkey_file", &file),
		"needs_chain": setBool("needs_chain", &p.chain), "needs_fullchain": setBool("needs_fullchain", &p.fullchain), "needs_privkey": setBool("needs_privkey", &p.key),
		"push_retries": count("push_retries", &p.retries), "push_retry_interval": count("push_retry_interval", &p.retryInterval),
	}.read(n, "client config")
	if err != nil {
		return p, err
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return p, badValue(&node{text: file}, "pubkey_file", "be a file that exists")
		}
		p.hostKey = string(text)
	}
	return p, p.check()
}

// readDomains also takes one text with spaces between.
func (p *peer) readDomains(n *node) error {
	words, ok := n.words()
	if !ok {
		return badValue(n, "domains", "be a list of domains")
	}
	for _, w := range words {
		p.domains = append(p.domains, strings.Fields(strings.ToLower(w))...)
	}
	return nil
}

func (p *peer) check() error {
	for _, missing := range []struct {
		key string
		yes bool
	}{{"address", p.address == ""}, {"domains", len(p.domains) == 0}, {"pubkey", p.hostKey == ""}} {
		if missing.yes {
			return invalid("add "+missing.key+" to the client's entry", "Invalid client config option: missing required argument '%s'", missing.key)
		}
	}
	return nil
}

// inherit fills in what the server's settings say, and makes the target.
func (p *peer) inherit(c *serverConfig) {
	if p.retries == nil {
		p.retries = &c.retries
	}
	if p.retryInterval == nil {
		s := int64(c.retryInterval / time.Second)
		p.retryInterval = &s
	}
}

// connectTimeout bounds the TCP connection when the configuration does not.
const connectTimeout = 60 * time.Second

// connect makes the target; it connects nowhere yet.
func (p *peer) connect(c *serverConfig, log *slog.Logger) error {
	limit := c.tcpTimeout
	if limit <= 0 {
		limit = connectTimeout
	}
	t, err := sftp.New(sftp.Config{
		Host: p.address, Port: int(p.port), User: p.user, Key: "file:" + c.key, HostKeys: []string{strings.TrimSpace(p.hostKey)}, Path: p.path,
		NeedsChain: p.chain, NeedsFullchain: &p.fullchain, NeedsPrivkey: &p.key, Timeout: certfleet.Duration(max(c.banner, c.auth)),
	}, dial.Deps{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, network, addr)
		log.Debug("connected", "client", p.String(), "error", err)
		return conn, err
	}})
	if err != nil && strings.Contains(err.Error(), "host key") {
		return invalid(certfleet.AdviceOf(err), "Invalid value \"%s\" for `pubkey`.", strings.TrimSpace(p.hostKey))
	}
	if err != nil {
		return fmt.Errorf("client %s: %w", p, err)
	}
	p.target = t.InPlace()
	return nil
}

// wants compares whole names, as certdeploy does; a wildcard is just a name.
func (p peer) wants(name string) bool { return slices.Contains(p.domains, strings.ToLower(name)) }

// String is the client in logs.
func (p peer) String() string { return fmt.Sprintf("%s@[%s]:%d", p.user, p.address, p.port) }

// identity is the client's name in queue.json.
func (p peer) identity() string {
	sum := sha1.Sum([]byte(p.user + p.address + strconv.FormatInt(p.port, 10)))
	return hex.EncodeToString(sum[:])
}

// queueKey tells entries of one host apart that want other folders.
func (p peer) queueKey() string { return p.identity() + " " + p.path }
