package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// answered keeps what the API says.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is where the API sets its headers.
func (a *answered) Header() http.Header { return a.header }

// WriteHeader notes the status.
func (a *answered) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write keeps the body.
func (a *answered) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// ask has the API under /v1 do something as the caller, with the caller's scopes
// and tenant, and reads what it answers. A problem becomes the error that it was.
func ask[T any](c *call, method, path string, in any) (out T, err error) {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return out, fmt.Errorf("asking %s: %w", path, err)
		}
		body = bytes.NewReader(b)
	}
	q, err := http.NewRequestWithContext(c.ctx, method, "/v1"+path, body)
	if err != nil {
		return out, fmt.Errorf("asking %s: %w", path, err)
	}
	if in != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	w := &answered{header: http.Header{}}
	c.h.As(c.who).ServeHTTP(w, q)
	if w.status/100 == 3 { // the path was tidied up: it named nothing
		return out, &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found"}
	}
	if w.status != http.StatusOK {
		return out, problem(w.body.Bytes())
	}
	return out, json.Unmarshal(w.body.Bytes(), &out)
}

// problem is the error that a problem document tells of.
func problem(body []byte) error {
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return fmt.Errorf("reading a problem: %w", err)
	}
	for k := certfleet.Internal + 1; k <= certfleet.Unreachable; k++ {
		if k.String() == p.Kind {
			return &certfleet.Error{Kind: k, Msg: fields(p), Advice: p.Advice}
		}
	}
	return errors.New(p.Detail)
}

// fields is what a problem says, with what is wrong in single fields.
func fields(p api.Problem) string {
	said := p.Detail
	for _, f := range p.Errors {
		said += "; " + f.Location + ": " + f.Message
	}
	return said
}

// perPage is how many objects a page of a list has.
const perPage = 50

// mostPages bounds how far a list is walked for one page.
const mostPages = 200

// pagination says where in a list a page is.
type pagination struct {
	Total int  `json:"total_items"`
	Page  int  `json:"page"`
	Next  *int `json:"page_next"`
}

// pageOf is the page that the path means.
func (c *call) pageOf() int {
	n, err := strconv.Atoi(bare(c.q.PathValue("page")))
	if err != nil || n < 1 {
		return 1
	}
	return min(n, mostPages)
}

// listed is one page of a list of the API, found by walking to it. Total counts
// what was seen on the way, and one more if there is more.
func listed[T any](c *call, path string, query url.Values) ([]T, pagination, error) {
	at := pagination{Page: c.pageOf()}
	query.Set("limit", strconv.Itoa(perPage))
	for i := 1; ; i++ {
		p, err := ask[api.Page[T]](c, "GET", path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, at, err
		}
		at.Total += len(p.Items)
		switch {
		case i == at.Page && p.Next != "":
			next := i + 1
			at.Total, at.Next = at.Total+1, &next
			fallthrough
		case i == at.Page:
			return p.Items, at, nil
		case p.Next == "":
			return nil, at, nil
		}
		query.Set("cursor", p.Next)
	}
}

// sliced is one page of a list that the API answers whole.
func sliced[T any](c *call, path string) ([]T, pagination, error) {
	p, err := ask[api.Page[T]](c, "GET", path, nil)
	rows, at := cut(c, p.Items)
	return rows, at, err
}

// cut is one page of a list that is there whole.
func cut[T any](c *call, all []T) ([]T, pagination) {
	at := pagination{Page: c.pageOf(), Total: len(all)}
	from, to := min((at.Page-1)*perPage, at.Total), min(at.Page*perPage, at.Total)
	if to < at.Total {
		next := at.Page + 1
		at.Next = &next
	}
	return all[from:to], at
}
