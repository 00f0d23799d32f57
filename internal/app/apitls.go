package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// The files of the private CA, made by init, in the state folder.
const (
	CACertFile = "ca.pem"
	CAKeyFile  = "ca.key"
)

// apiLife is how long the API's own certificate from the private CA lasts; it is
// made anew at half of it.
const apiLife = 30 * 24 * time.Hour

// again is how often the API looks whether it has a newer certificate.
const again = 10 * time.Second

// apiCerts chooses what the API serves: the certificate that the configuration
// names, once it is issued, until then one from the private CA.
type apiCerts struct {
	app *App
	ca  *pki.CA

	mu      sync.Mutex
	private *tls.Certificate // guarded by mu
	managed *tls.Certificate // guarded by mu
	version int64            // of managed, guarded by mu
	looked  time.Time        // guarded by mu
}

func (a *App) apiCertificates(ctx context.Context) (*apiCerts, error) {
	if !a.readOnly {
		if _, err := a.sharePrivateCA(ctx); err != nil {
			return nil, err
		}
	}
	ca, err := LoadCA(a.Config)
	if err != nil {
		return nil, err
	}
	return &apiCerts{app: a, ca: ca}, nil
}

// LoadCA reads the private CA that init made.
func LoadCA(c *config.Config) (*pki.CA, error) {
	cert, err1 := os.ReadFile(StatePath(c, CACertFile))
	key, err2 := os.ReadFile(StatePath(c, CAKeyFile))
	if err := errors.Join(err1, err2); err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the private CA cannot be read", Advice: "run certfleet init, or restore " + CACertFile + " and " + CAKeyFile + " in the state folder", Err: err}
	}
	return pki.LoadCA(cert, key)
}

func (c *apiCerts) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > again {
		c.looked = time.Now()
		c.lookForManaged(hello.Context())
	}
	if c.managed != nil {
		return c.managed, nil
	}
	return c.fromCA()
}

// lookForManaged opens the newest version of the configured certificate. When it
// cannot, what is served stays.
func (c *apiCerts) lookForManaged(ctx context.Context) {
	label := c.app.Config.TLS.Certificate
	if label == "" {
		return
	}
	cert, err := c.app.DB.CertificateByLabel(ctx, certfleet.DefaultTenant, label)
	if err != nil || cert.VersionID == 0 || cert.VersionID == c.version {
		return
	}
	pair, err := c.open(ctx, cert.VersionID)
	if err != nil {
		c.app.Log.Warn("the API keeps its certificate", "certificate", label, "err", err)
		return
	}
	c.managed, c.version = pair, cert.VersionID
}

func (c *apiCerts) open(ctx context.Context, version int64) (*tls.Certificate, error) {
	v, err := c.app.DB.Version(ctx, version)
	if err != nil {
		return nil, err
	}
	key, err := c.app.DB.Key(ctx, v.KeyID)
	if err != nil {
		return nil, err
	}
	signer, err := c.app.Keys.OpenKey(ctx, key)
	if err != nil {
		return nil, err
	}
	err = c.app.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.KeyOpened(ctx, key.ID, "api") })
	if err != nil {
		return nil, err
	}
	chain, err := pki.ParseCertificates(v.ChainPEM)
	if err != nil {
		return nil, err
	}
	pair := &tls.Certificate{PrivateKey: signer, Leaf: chain[0]}
	for _, x := range chain {
		pair.Certificate = append(pair.Certificate, x.Raw)
	}
	return pair, nil
}

// fromCA is the API's own certificate from the private CA, made anew at half its life.
func (c *apiCerts) fromCA() (*tls.Certificate, error) {
	now := time.Now()
	if c.private != nil && now.Before(c.private.Leaf.NotAfter.Add(-apiLife/2)) {
		return c.private, nil
	}
	issued, err := c.ca.IssueServer(c.app.apiHosts(), apiLife, now)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(issued.ChainPEM, issued.KeyPEM)
	if err != nil {
		return nil, err
	}
	c.private = &pair
	return c.private, nil
}

// apiHosts are the names under which the API may be reached.
func (a *App) apiHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	add := func(h string) {
		if h != "" && h != "0.0.0.0" && h != "::" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	if h, _, err := net.SplitHostPort(string(a.Config.Listen.API)); err == nil {
		add(h)
	}
	add(hostOf(a.Config.PublicURL))
	if h, err := os.Hostname(); err == nil {
		add(h)
	}
	return hosts
}
