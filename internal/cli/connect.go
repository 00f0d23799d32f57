package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
)

// tokenEnv is where a token, or a reference to it, is looked for.
const tokenEnv = "CERTFLEET_TOKEN"

// client speaks with the manager that the flags and the configuration name, or
// with none: with --offline this process does what is asked itself.
func (p *program) client(ctx context.Context) (*client.Client, error) {
	if p.flags.offline {
		return p.inProcess(ctx)
	}
	base, roots, err := p.manager()
	if err != nil {
		return nil, err
	}
	token, err := p.token()
	if err != nil {
		return nil, err
	}
	p.bare = token == ""
	if p.flags.cacert != "" {
		if roots, err = rootsIn(p.flags.cacert); err != nil {
			return nil, err
		}
	}
	return client.New(base, client.Options{Token: token, Roots: roots}), nil
}

// manager is the address of the manager and what to trust there.
func (p *program) manager() (base string, roots *x509.CertPool, err error) {
	if p.flags.url != "" {
		return p.flags.url, p.privateCA(), nil
	}
	c, err := config.Load(p.flags.config)
	if certfleet.KindOf(err) == certfleet.NotFound && configPath(p.flags.config) == config.DefaultPath {
		return "", nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "it is not known where the manager is: there is no configuration here",
			Advice: "set CERTFLEET_URL to the manager's address, or run certfleet init to make this host one", Err: errors.Unwrap(err)}
	}
	if err != nil {
		return "", nil, err
	}
	if !c.Listen.API.On() {
		return "", nil, invalid("use --offline, or set listen.api", "the manager on this host has no API (listen.api is off)")
	}
	return reachable(c), app.Roots(c), nil
}

// privateCA trusts this host's own CA where there is one; a manager elsewhere is
// judged by the system's roots.
func (p *program) privateCA() *x509.CertPool {
	if c, err := config.Load(p.flags.config); err == nil {
		return app.Roots(c)
	}
	return nil
}

// reachable is the manager's own address as seen from this host: one that
// listens everywhere is reached on loopback.
func reachable(c *config.Config) string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	scheme, rest, _ := strings.Cut(c.BaseURL(), "://")
	host, port, err := net.SplitHostPort(rest)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		rest = net.JoinHostPort("localhost", port)
	}
	return scheme + "://" + rest
}

// token opens what --token refers to, or takes what the environment holds.
func (p *program) token() (string, error) {
	ref := p.flags.token
	if ref != "" {
		secret, err := app.OpenReference(ref)
		if err != nil {
			return "", whereTokensStand(err)
		}
		return strings.TrimSpace(string(secret)), nil
	}
	env := strings.TrimSpace(os.Getenv(tokenEnv))
	if strings.HasPrefix(env, "file:") {
		secret, err := app.OpenReference(env)
		return strings.TrimSpace(string(secret)), err
	}
	return env, nil
}

// whereTokensStand explains a token that was given as a flag: everybody on the
// host could read it there.
func whereTokensStand(err error) error {
	if certfleet.KindOf(err) != certfleet.Invalid {
		return err
	}
	return invalid("write --token file:/path/to/token, or set "+tokenEnv, "--token takes file:PATH or env:NAME, not the token itself: other users see what stands on a command line")
}

func rootsIn(path string) (*x509.CertPool, error) {
	pem, err := readFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, invalid("name a file of PEM certificates", "%s holds no certificate", path)
	}
	return roots, nil
}

// maxInput bounds a file that a command reads whole, in bytes.
const maxInput = 64 << 20

// readFile reads a file that a person named; - is the standard input's business.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "there is no file " + path, Advice: "check the path", Err: nil}
	case err != nil:
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "read " + path, Advice: "let this user read the file", Err: err}
	case info.Size() > maxInput:
		return nil, invalid("name another file", "%s is larger than %d bytes", path, maxInput)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "read " + path, Advice: "let this user read the file", Err: err}
	}
	return b, nil
}

// inProcess is a client whose requests never leave this process.
func (p *program) inProcess(ctx context.Context) (*client.Client, error) {
	a, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	return client.New("http://offline", client.Options{HTTP: &http.Client{Transport: a.Offline(actor())}}), nil
}

// open opens the database of the configuration in this process, once.
func (p *program) open(ctx context.Context) (*app.App, error) {
	if p.local != nil {
		return p.local, nil
	}
	c, err := config.Load(p.flags.config)
	if err != nil {
		return nil, err
	}
	log, _ := app.NewLog(p.Err, quiet(c.Log))
	p.local, err = app.New(ctx, c, app.Options{Log: log})
	return p.local, err
}

// quiet lets only warnings between the lines of a command's answer.
func quiet(l config.Log) config.Log {
	l.Level, l.ACME = max(l.Level, 4), max(l.ACME, 4)
	return l
}

// actor is who acts, for the record.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "user:" + u.Username
	}
	return "user:unknown"
}

// brief bounds what is only a convenience, such as a guess at what was meant.
const brief = 2 * time.Second
