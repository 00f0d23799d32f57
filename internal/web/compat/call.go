package compat

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/certfleet/certfleet"
)

// call is one request on its way.
type call struct {
	h      *Handler
	ctx    context.Context
	who    *certfleet.Token
	prefix string
	w      http.ResponseWriter
	q      *http.Request
	page   bool // answer a page in place of JSON
}

// edge is who asks, for the record.
func (c *call) edge() string { return "token:" + c.who.Label }

func (c *call) json(status int, v any) {
	shown, err := c.leave(v)
	if err != nil {
		c.broken(err)
		return
	}
	c.write(status, shown)
}

// write answers what is known by its numbers already.
func (c *call) write(status int, v any) {
	if c.page {
		c.html(status, v)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_ = json.NewEncoder(c.w).Encode(v) // the caller is gone, or reads it
}

// object answers bytes of a media type.
func (c *call) object(media string, b []byte) {
	c.w.Header().Set("Content-Type", media)
	_, _ = c.w.Write(b) // the caller is gone, or reads it
}

// answerable is an error that was made to be answered, such as that of Who.
type answerable interface {
	error
	GetStatus() int
}

// refuse answers a caller that may not come in.
func (c *call) refuse(status int, err error) {
	if status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Basic realm="certfleet"`)
	}
	msg, advice := said(err)
	if p, ok := errors.AsType[answerable](err); ok {
		msg, advice = p.Error(), "send a token as the password of basic authentication, or as Authorization: Bearer cf_..."
	}
	c.json(status, map[string]string{"result": "error", "error": msg, "advice": advice})
}

// fail answers an error: 404 for what is not there, the form's own way for what
// was asked wrongly.
func (c *call) fail(err error) {
	msg, advice := said(err)
	switch kind := certfleet.KindOf(err); {
	case kind == certfleet.NotFound:
		c.json(http.StatusNotFound, map[string]string{"message": msg, "advice": advice})
	case kind == certfleet.Denied && c.q.Method == http.MethodGet:
		c.json(http.StatusForbidden, map[string]string{"result": "error", "error": msg, "advice": advice})
	case kind == certfleet.Invalid, kind == certfleet.Conflict, kind == certfleet.Denied:
		c.formError("Error_Main", msg)
	case kind == certfleet.Limited, kind == certfleet.Unreachable:
		c.json(http.StatusServiceUnavailable, map[string]string{"result": "error", "error": msg, "advice": advice})
	default:
		c.broken(err)
	}
}

// broken answers what went wrong inside.
func (c *call) broken(err error) {
	if c.h.Log != nil {
		c.h.Log.Error("a request failed", "path", c.q.URL.Path, "err", err)
	}
	c.write(http.StatusInternalServerError, map[string]string{"result": "error", "error": "this failed here; the log says why"})
}

func said(err error) (msg, advice string) {
	var e *certfleet.Error
	if errors.As(err, &e) {
		return e.Msg, e.Advice
	}
	return "this failed here", ""
}

func (c *call) formError(field, msg string) {
	c.json(http.StatusOK, map[string]any{"result": "error", "form_errors": map[string]string{field: msg, "Error_Main": msg}})
}
