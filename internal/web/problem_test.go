package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

// caProblem is a CA's word as another room hands it on.
type caProblem struct{}

func (caProblem) Error() string        { return "rateLimited: too many new orders" }
func (caProblem) Kind() certfleet.Kind { return certfleet.Limited }

func TestErrorsBecomeProblems(t *testing.T) {
	var log strings.Builder
	s := &server{Deps: Deps{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	cause := errors.New("dial 10.0.0.7: secret detail")
	later := time.Now().Add(90 * time.Second)
	for _, c := range []struct {
		err    error
		status int
		detail string
	}{
		{&certfleet.Error{Kind: certfleet.NotFound, Msg: "no such order"}, 404, "no such order"},
		{fmt.Errorf("step: %w", &certfleet.Error{Kind: certfleet.Unreachable, Msg: "the CA does not answer", Err: cause}), 503, "the CA does not answer"},
		{fmt.Errorf("register: %w", caProblem{}), 429, "rateLimited: too many new orders"},
		{context.DeadlineExceeded, 503, "the request was not finished in time"},
		{cause, 500, "something went wrong inside"},
		{&certfleet.Error{Msg: "unexplained", Err: cause}, 500, "something went wrong inside"},
	} {
		if p := s.problemOf(t.Context(), c.err); p.Status != c.status || p.Detail != c.detail {
			t.Errorf("%v: %d %q", c.err, p.Status, p.Detail)
		}
	}
	if !strings.Contains(log.String(), "secret detail") {
		t.Error("what nobody explained is not in the log")
	}
	p := s.problemOf(t.Context(), &certfleet.Error{Kind: certfleet.Limited, Msg: "later", Retry: later})
	if n, _ := strconv.Atoi(p.GetHeaders().Get("Retry-After")); n < 89 || n > 91 || !p.RetryAfter.Equal(later) {
		t.Errorf("Retry-After %d, %v", n, p.RetryAfter)
	}
}

func TestLabelsFilterShortListsToo(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("PATCH", "/v1/policies/default", `{"labels":{"tenant":"acme"}}`)
	k.ok("POST", "/v1/policies", `{"label":"other","authorities":["test-ca"]}`)
	got, err := k.client(certfleet.ScopeRead).Policies(t.Context(), "tenant=acme")
	if err != nil || len(got) != 1 || got[0].Label != "default" {
		t.Errorf("%v: %v", got, err)
	}
}
