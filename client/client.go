// Package client speaks with a certfleet server: one method an operation of its
// API under /v1.
//
// Errors that the server explains are *certfleet.Error, with its advice and
// with the time at which trying again makes sense. Every call ends with its
// context, and after Options.Timeout in any case.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Timeout bounds one call when Options say nothing. Acts that wait for a CA,
// such as registering an account, take a while.
const Timeout = 2 * time.Minute

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 20

// Options for New. The zero value speaks without a token to a server that the
// system trusts.
type Options struct {
	// Token is sent as bearer token.
	Token string
	// Roots are trusted instead of the system's; nil means the system's. They
	// are not used when HTTP is set.
	Roots *x509.CertPool
	// HTTP makes the requests; nil means a client of our own.
	HTTP *http.Client
	// Timeout bounds one call; zero means Timeout. Streams of events have none.
	Timeout time.Duration
	// UserAgent is sent along; empty means certfleet.
	UserAgent string
}

// Client speaks with one server. It may be used by many goroutines at a time.
type Client struct {
	base    string
	token   string
	agent   string
	timeout time.Duration
	http    *http.Client
}

// New makes a client for the server at base, such as https://certs.example.com:7443.
func New(base string, o Options) *Client {
	c := &Client{base: strings.TrimRight(base, "/"), token: o.Token, agent: o.UserAgent, timeout: o.Timeout, http: o.HTTP}
	if c.agent == "" {
		c.agent = certfleet.UserAgent + "/" + certfleet.Release
	}
	if c.timeout <= 0 {
		c.timeout = Timeout
	}
	if c.http == nil {
		c.http = newHTTP(o.Roots)
	}
	return c
}

func newHTTP(roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 30 * time.Second,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
}

type idempotencyKey struct{}

// WithIdempotencyKey makes a repeated create of ctx answer what the first one
// answered. The key must be new for every create that is meant.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// call makes one request: body is sent as JSON unless nil, the answer is read
// into out unless nil.
func (c *Client) call(ctx context.Context, method, path string, query, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.send(ctx, method, path, query, body, "application/json")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
		return unanswered(c.base, err)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: c.base + " does not answer as a certfleet server does", Advice: "check the address of the server", Err: err}
	}
	return nil
}

// send makes one request and answers its response if the server agreed.
func (c *Client) send(ctx context.Context, method, path string, query, body any, accept string) (*http.Response, error) {
	req, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept+", application/problem+json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unanswered(c.base, err)
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		return nil, problem(c.base, res)
	}
	return res, nil
}

func (c *Client) request(ctx context.Context, method, path string, query, body any) (*http.Request, error) {
	u := c.base + path
	if q := encode(query); len(q) > 0 {
		u += "?" + q.Encode()
	}
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the request for %s: %w", path, err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, r)
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the server's address cannot be used", Advice: "write it as https://host:port", Err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if key, ok := ctx.Value(idempotencyKey{}).(string); ok && method == http.MethodPost {
		req.Header.Set("Idempotency-Key", key)
	}
	req.Header.Set("User-Agent", c.agent)
	return req, nil
}

// at makes a path of fixed parts and of one that may hold anything.
func at(path, id string, rest ...string) string {
	return path + "/" + url.PathEscape(id) + strings.Join(rest, "")
}

// unanswered explains an exchange that did not come about.
func unanswered(base string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	e := &certfleet.Error{Kind: certfleet.Unreachable, Msg: base + " does not answer", Advice: "start the server there, or correct the address", Err: err}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Msg, e.Advice = base+" shows a certificate that is not trusted", "give the file of the CA that issued it"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Msg, e.Advice = base+" did not answer in time", "try again, or look at the server's log"
	}
	return e
}
