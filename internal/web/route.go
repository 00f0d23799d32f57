package web

import (
	"context"
	"net/http"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/danielgtaylor/huma/v2"
)

// The shapes of requests and answers around the wire structs.
type (
	none struct{}

	// ByID names one object in the path. It is exported because huma passes by
	// embedded structs that are not.
	ByID struct {
		ID string `path:"id" doc:"The label or id."`
	}
	// byNumber names one object that has no label.
	byNumber struct {
		ID int64 `path:"id" doc:"The id."`
	}
	// ask has a body.
	ask[B any] struct {
		Body B
	}
	// askID has a body and names one object.
	askID[B any] struct {
		ByID
		Body B
	}
	// mayAskID is askID with a body that may be left out.
	mayAskID[B any] struct {
		ByID
		Body *B
	}
	// makeOne has a body and may be repeated by its key.
	makeOne[B any] struct {
		Key  string `header:"Idempotency-Key" maxLength:"255" doc:"Repeats with the same key answer what the first one answered."`
		Body B
	}
	out[T any] struct {
		Body T
	}
	page[T any] struct {
		Link string `header:"Link" doc:"The next page, with rel=next."`
		Body api.Page[T]
	}
)

// route is one operation: what it needs and what it is.
type route struct {
	scope   certfleet.Scope
	id      string
	tag     string
	summary string
	about   string
}

// on serves an operation. A handler's error is answered as a problem.
func on[I, O any](s *server, method, path string, r route, h func(context.Context, *I) (*O, error)) {
	op := s.operation(method, path, r)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		return out, nil
	})
}

func (s *server) operation(method, path string, r route) huma.Operation {
	return huma.Operation{
		OperationID: r.id, Method: method, Path: path, Tags: []string{r.tag}, Summary: r.summary, Description: r.about,
		Security: []map[string][]string{{"token": {string(r.scope)}}}, MaxBodyBytes: s.Body,
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}
}

// given is what was sent, or nothing.
func (in *mayAskID[B]) given() (b B) {
	if in.Body != nil {
		b = *in.Body
	}
	return b
}

// answer is the answer of a handler that did what was asked.
func answer[T any](v T) *out[T] { return &out[T]{Body: v} }
