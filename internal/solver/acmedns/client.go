package acmedns

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

const maxAnswer = 64 << 10 // bytes

// Register makes a new account at the configured server (POST /register). It
// belongs to no name until somebody keeps it.
func (s *Solver) Register(ctx context.Context) (Credential, error) {
	var body any
	if len(s.config.AllowFrom) > 0 {
		body = map[string][]string{"allowfrom": s.config.AllowFrom}
	}
	var w wire
	if err := s.post(ctx, s.config.Server, "register", nil, body, &w); err != nil {
		return Credential{}, err
	}
	if f := w.missing(); f != "" {
		return Credential{}, &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("acme-dns server %s registered an account without %s", s.config.Server, f), Advice: "check that the URL is that of an acme-dns API"}
	}
	c := w.credential()
	c.Server = s.config.Server
	return c, nil
}

// Update writes one TXT value (POST /update); the server keeps the two latest.
func (s *Solver) Update(ctx context.Context, c Credential, value string) error {
	server := c.Server
	if server == "" {
		server = s.config.Server
	}
	header := http.Header{"X-Api-User": {c.Username}, "X-Api-Key": {string(c.Password)}}
	var said struct {
		TXT string `json:"txt"`
	}
	err := s.post(ctx, server, "update", header, map[string]string{"subdomain": c.SubDomain, "txt": value}, &said)
	if err != nil {
		return err
	}
	if said.TXT != value {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("acme-dns server %s did not confirm the value", server), Advice: "check that the URL is that of an acme-dns API"}
	}
	return nil
}

func (s *Solver) post(ctx context.Context, server, path string, header http.Header, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.config.Timeout))
	defer cancel()
	req, err := request(ctx, strings.TrimSuffix(server, "/")+"/"+path, body)
	if err != nil {
		return fmt.Errorf("ask acme-dns server to %s: %w", path, err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("ask acme-dns server %s to %s", server, path), Advice: "check that its API can be reached from here", Err: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read what acme-dns server %s answered to %s: %w", server, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return refused(server, path, resp.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("acme-dns server %s answered %s with something else than JSON", server, path), Advice: "check that the URL is that of an acme-dns API"}
	}
	return nil
}

func request(ctx context.Context, url string, body any) (*http.Request, error) {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", certfleet.UserAgent)
	return req, nil
}

// refused quotes the server's own word, of which acme-dns has a handful.
func refused(server, path string, status int, answer []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	json.Unmarshal(answer, &said)
	word := said.Error
	if word == "" || len(word) > 80 {
		word = http.StatusText(status)
	}
	e := &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("acme-dns server %s answered %s with %d %s", server, path, status, word), Advice: "read the server's log"}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind, e.Advice = certfleet.Denied, "check the account, and that the server lets this machine's address update it (allowfrom)"
	case status == http.StatusNotFound:
		e.Advice = "check the URL, and that the server has registration enabled"
	case status/100 == 4:
		e.Kind = certfleet.Invalid
	}
	return e
}
