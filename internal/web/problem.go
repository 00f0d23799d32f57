package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/danielgtaylor/huma/v2"
)

// Problem is an error as it is answered (RFC 9457).
type Problem struct {
	api.Problem
}

// Error is what happened.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of RFC 9457.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders tells when to try again, and how to show who one is.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfter != nil {
		h.Set("Retry-After", strconv.Itoa(max(1, int(time.Until(*p.RetryAfter).Seconds()+1))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="certfleet"`)
	}
	return h
}

// statuses are the HTTP statuses of the kinds of error.
var statuses = map[certfleet.Kind]int{
	certfleet.Internal: 500, certfleet.Invalid: 422, certfleet.NotFound: 404, certfleet.Conflict: 409,
	certfleet.Denied: 403, certfleet.Limited: 429, certfleet.Unreachable: 503,
}

// kindOfStatus sorts the statuses that are not made from a kind.
func kindOfStatus(status int) certfleet.Kind {
	for k, st := range statuses {
		if st == status {
			return k
		}
	}
	switch {
	case status == http.StatusUnauthorized:
		return certfleet.Denied
	case status < 500:
		return certfleet.Invalid
	}
	return certfleet.Internal
}

// newProblem is a problem of a status.
func newProblem(ctx context.Context, status int, detail, advice string) *Problem {
	k := kindOfStatus(status)
	return &Problem{api.Problem{Type: "urn:certfleet:problem:" + k.String(), Title: http.StatusText(status), Status: status,
		Detail: detail, Advice: advice, Kind: k.String(), RequestID: requestID(ctx)}}
}

// sorted is an error of another room that knows its kind and may be shown, such
// as a CA's own problem.
type sorted interface {
	error
	Kind() certfleet.Kind
}

// problemOf makes a problem of an error. What nobody explained is told to the
// log alone.
func (s *server) problemOf(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*certfleet.Error](err); ok && e.Kind != certfleet.Internal {
		s.Log.Debug("request refused", "request_id", requestID(ctx), "err", err)
		p := newProblem(ctx, statuses[e.Kind], e.Msg, certfleet.AdviceOf(e))
		if !e.Retry.IsZero() {
			p.RetryAfter = &e.Retry
		}
		return p
	}
	if e, ok := errors.AsType[sorted](err); ok {
		return newProblem(ctx, statuses[e.Kind()], e.Error(), "read what the CA says, and correct what it names")
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return newProblem(ctx, http.StatusServiceUnavailable, "the request was not finished in time", "try again")
	}
	s.Log.Error("request failed", "request_id", requestID(ctx), "err", err)
	return newProblem(ctx, http.StatusInternalServerError, "something went wrong inside", "look for the request id in the server's log")
}

var once sync.Once

// answerProblems makes huma answer our problems for what it refuses itself. It
// leaves out the values that huma would repeat: they may be secrets.
func answerProblems() {
	once.Do(func() {
		huma.NewErrorWithContext = func(hc huma.Context, status int, msg string, errs ...error) huma.StatusError {
			ctx := context.Background()
			if hc != nil {
				ctx = hc.Context()
			}
			return refused(ctx, status, msg, errs)
		}
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return refused(context.Background(), status, msg, errs)
		}
	})
}

// refused is what huma refuses, in our words.
func refused(ctx context.Context, status int, msg string, errs []error) *Problem {
	if status == http.StatusRequestEntityTooLarge {
		return newProblem(ctx, status, "the request is larger than this server takes", "send less at a time, or raise limits.body in the server's configuration")
	}
	p := newProblem(ctx, status, msg, "correct the request; /docs describes it")
	for _, err := range errs {
		if d, ok := err.(huma.ErrorDetailer); ok {
			e := d.ErrorDetail()
			p.Errors = append(p.Errors, api.ProblemField{Location: short(e.Location), Message: short(e.Message)})
			continue
		}
		if err != nil && status < 500 {
			p.Errors = append(p.Errors, api.ProblemField{Location: "body", Message: "this is not the JSON that is expected here"})
		}
	}
	if len(p.Errors) == 1 {
		p.Detail = strings.TrimPrefix(fmt.Sprintf("%s: %s", p.Errors[0].Location, p.Errors[0].Message), ": ")
	}
	return p
}

// short bounds a text that may hold a field's name as a caller wrote it.
func short(s string) string { return s[:min(len(s), 200)] }
