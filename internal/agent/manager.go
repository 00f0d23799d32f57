package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// The bounds of speaking with a manager.
const (
	callTime   = time.Minute // longer than the longest wait for an assignment
	dialTime   = 10 * time.Second
	maxAnswer  = 4 << 20
	retryFirst = 5 * time.Second // after the first failure; doubles with each
	retryLast  = 10 * time.Minute
)

// manager is the way to the manager, under an identity that may change.
type manager struct {
	mu   sync.Mutex
	id   *identity    // guarded by mu
	http *http.Client // guarded by mu
}

func newManager(id *identity) *manager {
	m := &manager{}
	m.take(id)
	return m
}

// take goes on under another identity; connections of the old one end.
func (m *manager) take(id *identity) {
	config := id.secure()
	t := &http.Transport{
		TLSClientConfig: config, ResponseHeaderTimeout: callTime, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 2,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTime)
			defer cancel()
			return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
		},
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.http != nil {
		m.http.CloseIdleConnections()
	}
	m.id, m.http = id, &http.Client{Transport: t, Timeout: callTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (m *manager) now() (*identity, *http.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id, m.http
}

// call asks the manager for one thing.
func (m *manager) call(ctx context.Context, path string, in, out any) error {
	id, client := m.now()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", id.Manager+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return unreachable(id.Manager, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return unreachable(id.Manager, err)
	}
	if res.StatusCode != http.StatusOK {
		return refusal(res.StatusCode, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the manager's answer to %s: %w", path, err)
	}
	return nil
}

// unreachable keeps what our own judgement of the certificate said.
func unreachable(at string, err error) error {
	if e, ok := errors.AsType[*certfleet.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("manager %s cannot be reached: %v", at, err), Advice: "look whether it runs and may be reached from here", Err: err}
}

func refusal(status int, text []byte) error {
	var p api.Problem
	if json.Unmarshal(text, &p) != nil || p.Detail == "" {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("the manager answered with status %d", status), Advice: "look into the manager's log"}
	}
	kind := certfleet.Internal
	for _, k := range []certfleet.Kind{certfleet.Invalid, certfleet.NotFound, certfleet.Conflict, certfleet.Denied, certfleet.Limited, certfleet.Unreachable} {
		if k.String() == p.Kind {
			kind = k
		}
	}
	return &certfleet.Error{Kind: kind, Msg: "the manager says: " + p.Detail, Advice: p.Advice}
}

// rejoin takes a new key and a certificate for it. The old identity is good until
// the new one is used, so it may break off anywhere.
func (m *manager) rejoin(ctx context.Context, file string) error {
	id, _ := m.now()
	key, request, err := dress(id.Agent)
	if err != nil {
		return err
	}
	var got api.Identity
	if err := m.call(ctx, "/v1/agent/rejoin", api.Rejoin{Request: string(request)}, &got); err != nil {
		return err
	}
	next, err := id.with(key, got)
	if err != nil {
		return err
	}
	if err := next.save(file); err != nil {
		return fmt.Errorf("keep the new identity: %w", err)
	}
	m.take(next)
	return nil
}
