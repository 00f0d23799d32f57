package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/keeper/env"
	"github.com/certfleet/certfleet/internal/keeper/file"
)

// client speaks with an authority. Its address is an operator's own word, so it
// may be private; its trust is the system's roots or the authority's own bundle.
func (a *App) client(ca *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca.TrustPEM != "" {
		roots, err := pool([]byte(ca.TrustPEM))
		if err != nil {
			return nil, fmt.Errorf("trust bundle of authority %q: %w", ca.Label, err)
		}
		t.RootCAs = roots
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: t, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 20 * time.Second,
		DialContext: (&net.Dialer{Timeout: dial.ConnectTimeout, KeepAlive: 15 * time.Second}).DialContext, TLSHandshakeTimeout: dial.ConnectTimeout, ResponseHeaderTimeout: dial.HeaderTimeout,
	}
	var pace func(context.Context, string) error
	if a.Issue != nil {
		pace = a.Issue.Pace(ca)
	}
	return acme.New(acme.Options{
		DirectoryURL: ca.DirectoryURL, HTTP: &http.Client{Transport: transport, Timeout: 45 * time.Second},
		UserAgent: certfleet.UserAgent + "/" + certfleet.Release, Record: record, Pace: pace, Log: a.acmeLog,
	}), nil
}

func pool(pem []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "no certificate was found in it", Advice: "give PEM certificates"}
	}
	return p, nil
}

// OpenKeeper opens the sealing key that the configuration names.
func OpenKeeper(c *config.Config) (*keeper.Key, error) {
	scheme, rest := c.KeyReference().Split()
	if scheme == "env" {
		return env.Open(rest)
	}
	return file.Open(rest)
}
