package app

import (
	"crypto/tls"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/enroll"
	"github.com/certfleet/certfleet/internal/pki"
)

// enrolment is the room for agents. The private CA is read when it is first used,
// so that a node without one works too.
func (a *App) enrolment() *enroll.Room {
	return &enroll.Room{DB: a.DB, Keys: a.Keys, CA: a.privateCA(), Manager: a.forAgents(), Log: a.Log}
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
// not from elsewhere.
func (a *App) forAgents() string {
	c := a.Config
	if strings.HasPrefix(c.PublicURL, "https://") {
		return strings.TrimRight(c.PublicURL, "/")
	}
	host, port, err := net.SplitHostPort(string(c.Listen.API))
	if err != nil || c.TLS.Plain || !c.Listen.API.On() || port == "0" {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			return ""
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}

// forAgents chooses how a client is spoken with. Who asks for the agents'
// protocol sees a certificate of the private CA, which its invitation pinned, and
// is asked for its own; nobody else is.
func (c *apiCerts) forAgents() func(*tls.ClientHelloInfo) (*tls.Config, error) {
	agents := &apiCerts{app: c.app, ca: c.ca}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, ClientAuth: tls.RequestClientCert, ClientCAs: c.ca.Pool(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			agents.mu.Lock()
			defer agents.mu.Unlock()
			return agents.fromCA() // leaf and CA: an agent knows the CA by its fingerprint alone
		},
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, api.AgentProtocol) {
			return config, nil
		}
		return nil, nil
	}
}
