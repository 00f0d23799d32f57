package client

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

var kinds = func() map[string]certfleet.Kind {
	m := map[string]certfleet.Kind{}
	for k := certfleet.Internal; k <= certfleet.Unreachable; k++ {
		m[k.String()] = k
	}
	return m
}()

// problem reads the error that the server explains, in the form of RFC 9457.
func problem(base string, res *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // what can be read of it is read
	var p Problem
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(b, &p) != nil {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: base + " answers " + res.Status, Advice: "check the address of the server, and what stands between"}
	}
	e := &certfleet.Error{Kind: kinds[p.Kind], Msg: p.Detail, Advice: p.Advice, Retry: retry(p, res)}
	if e.Msg == "" {
		e.Msg = p.Title
	}
	for _, f := range p.Errors {
		if more := strings.TrimPrefix(f.Location+": "+f.Message, ": "); more != e.Msg { // the detail tells a single one already
			e.Msg += "; " + more
		}
	}
	return e
}

func retry(p Problem, res *http.Response) time.Time {
	if p.RetryAfter != nil {
		return *p.RetryAfter
	}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
		return time.Now().Add(time.Duration(n) * time.Second)
	}
	return time.Time{}
}
