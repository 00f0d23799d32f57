package app

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/enroll"
	"github.com/certfleet/certfleet/internal/pki"
)

// enrolment is the room for agents. The private CA is read when it is first used,
// so that a node without one works too.
func (a *App) enrolment() *enroll.Room {
	return &enroll.Room{DB: a.DB, Keys: a.Keys, CA: a.privateCA(), Manager: a.forAgents(), Log: a.Log}
}

// silentAgents are those of which nothing was heard for long. A manager that was
// away itself lets them come first.
func (a *App) silentAgents(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	if now.Sub(a.started) < certfleet.AgentSilence {
		return nil, nil
	}
	return due(a.DB.DueAgents, func(g certfleet.Agent) int64 { return g.ID })(ctx, now, limit)
}

// privateCA reads the private CA once it is there.
func (a *App) privateCA() func() (*pki.CA, error) {
	var mu sync.Mutex
	var ca *pki.CA // guarded by mu
	return func() (_ *pki.CA, err error) {
		mu.Lock()
		defer mu.Unlock()
		if ca == nil {
			ca, err = LoadCA(a.Config)
		}
		return ca, err
	}
}

// forAgents is where agents reach this node, empty when that is not over TLS or
// not from elsewhere. What has a listener of its own goes before the API.
func (a *App) forAgents() string {
	c := a.Config
	if c.Listen.Agents.On() {
		return overTLS(c.Listen.Agents, hostOf(c.PublicURL))
	}
	if strings.HasPrefix(c.PublicURL, "https://") {
		return strings.TrimRight(c.PublicURL, "/")
	}
	if c.TLS.Plain || !c.Listen.API.On() {
		return ""
	}
	return overTLS(c.Listen.API, "")
}

// overTLS is the URL of a listener, with the name of this host, or the one by which
// it is known outside, where it listens on all addresses.
func overTLS(at config.Address, known string) string {
	host, port, err := net.SplitHostPort(string(at))
	if err != nil || port == "0" {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host = known; host == "" {
			if host, err = os.Hostname(); err != nil {
				return ""
			}
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}

// onlyAgents answers what agents ask for themselves, whether we are well, and
// nothing else of the API.
func onlyAgents(all http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/agent/") && r.URL.Path != "/healthz" {
			http.NotFound(w, r)
			return
		}
		all.ServeHTTP(w, r)
	})
}

// serveAgents serves whoever comes as agents are served.
func (a *App) serveAgents(ctx context.Context, ln net.Listener, h http.Handler) error {
	certs, err := a.apiCertificates(ctx)
	if err != nil {
		return err
	}
	s := a.server(ctx, h)
	s.TLSConfig = certs.agentConfig()
	return serve(ctx, s, tls.NewListener(ln, s.TLSConfig))
}

// forAgents chooses how a client is spoken with. Who asks for the agents'
// protocol sees a certificate of the private CA, which its invitation pinned, and
// is asked for its own; nobody else is.
func (c *apiCerts) forAgents() func(*tls.ClientHelloInfo) (*tls.Config, error) {
	config := c.agentConfig()
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, api.AgentProtocol) {
			return config, nil
		}
		return nil, nil
	}
}

func (c *apiCerts) agentConfig() *tls.Config {
	agents := &apiCerts{app: c.app, ca: c.ca}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, ClientAuth: tls.RequestClientCert, ClientCAs: c.ca.Pool(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			agents.mu.Lock()
			defer agents.mu.Unlock()
			return agents.fromCA() // leaf and CA: an agent knows the CA by its fingerprint alone
		},
	}
}
