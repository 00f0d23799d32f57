package acme

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/certfleet/certfleet"
)

// ErrLost means that a request was sent and that its answer was not received or
// not understood: the CA may have done what was asked, or not.
var ErrLost = errors.New("the request was sent and its answer was lost")

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxBody)

// wire is one HTTP request as it goes out; payload is what body signs, for the log.
type wire struct {
	kind, doing, method, url, accept string
	nonce                            string // in body; CAs quote it when they refuse it
	body, payload                    []byte
}

// answer is one HTTP answer, read to its end.
type answer struct {
	kind   string
	method string
	url    string // where the answer came from
	status int
	header http.Header
	body   []byte
	at     time.Time
}

// exchange makes one HTTP request, records it and keeps the nonce of its answer.
func (c *Client) exchange(ctx context.Context, w wire) (*answer, error) {
	if err := c.checkURL(w); err != nil {
		return nil, unsent{err}
	}
	if err := c.await(ctx, w); err != nil {
		return nil, err
	}
	start := time.Now()
	a, err := c.roundTrip(ctx, w)
	x := certfleet.Exchange{At: start, Kind: w.kind, Method: w.method, URL: plainURL(w.url), Took: time.Since(start)}
	if a != nil {
		x.Status, x.RetryAfter = a.status, oneLine(a.header.Get("Retry-After"), 64)
		if w.kind != "nonce" { // whoever asked for that one uses it
			c.nonces.put(a.header.Get("Replay-Nonce"), a.at)
		}
	}
	x.Problem = problemLine(a, err)
	c.tell(ctx, x)
	c.trace(ctx, w, a, x)
	return a, err
}

func (c *Client) roundTrip(ctx context.Context, w wire) (*answer, error) {
	inner, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var sent sending
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(inner, sent.trace()), w.method, w.url, bytes.NewReader(w.body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.doing, err)
	}
	c.dress(req, w)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(w, sent.maybe(), err)
	}
	defer resp.Body.Close()
	a := &answer{kind: w.kind, method: w.method, url: resp.Request.URL.String(), status: resp.StatusCode, header: resp.Header, at: time.Now()}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(a.body) > maxBody {
		err = errTooLong
	}
	if err != nil && a.status < 300 {
		return a, a.unreadable(w.doing, err)
	}
	if w.nonce != "" && a.status >= 300 {
		a.body = bytes.ReplaceAll(a.body, []byte(w.nonce), []byte(removed))
	}
	return a, nil // a refusal counts even when its explanation is cut short
}

// dress sets the headers of RFC 8555 sections 6.1 and 6.2. Without GetBody the
// transport cannot send a POST a second time behind our back.
func (c *Client) dress(req *http.Request, w wire) {
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept-Language", "en")
	if w.accept != "" {
		req.Header.Set("Accept", w.accept)
	}
	if w.method != http.MethodPost {
		req.Body, req.ContentLength = nil, 0
		return
	}
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/jose+json")
}

// checkURL keeps a CA from leading us away from the scheme its directory has
// (RFC 8555 section 6.1 wants HTTPS throughout).
func (c *Client) checkURL(w wire) error {
	home, err := url.Parse(c.url)
	if err != nil || home.Host == "" || (home.Scheme != "https" && home.Scheme != "http") {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the directory URL %q is not an https URL", plainURL(c.url)), Advice: "write the CA's directory URL, such as https://acme-v02.api.letsencrypt.org/directory"}
	}
	u, err := url.Parse(w.url)
	if err != nil || u.Host == "" || u.Scheme != home.Scheme {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%s: the CA named the URL %q, which is not %s", w.doing, plainURL(w.url), home.Scheme), Advice: "report this to the CA"}
	}
	return nil
}

// sending watches whether anything of a request may have left.
type sending struct{ traced, wrote atomic.Bool }

func (s *sending) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { s.traced.Store(true) },
		WroteHeaders: func() { s.wrote.Store(true) },
	}
}

// maybe is true unless the transport reports its doings and wrote nothing.
func (s *sending) maybe() bool { return s.wrote.Load() || !s.traced.Load() }

func unreachable(w wire, sent bool, err error) error {
	host := hostOf(w.url)
	e := &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("%s: %s does not answer", w.doing, host), Advice: "check that this host reaches " + host + " by HTTPS", Err: err}
	if w.method != http.MethodPost {
		return e
	}
	if !sent {
		e.Err = unsent{err}
		return e
	}
	e.Msg = fmt.Sprintf("%s: %s was asked and its answer was lost", w.doing, host)
	e.Err = fmt.Errorf("%w: %w", ErrLost, err)
	return e
}

// unreadable is the error for an answer that says success in words nobody understands.
func (a *answer) unreadable(doing string, err error) error {
	e := &certfleet.Error{
		Kind:   certfleet.Unreachable,
		Msg:    fmt.Sprintf("%s: the answer cannot be read (status %d, %s, %d bytes)", doing, a.status, a.contentType(), len(a.body)),
		Advice: "look whether something else answers in the CA's place at " + hostOf(a.url),
		Err:    err,
	}
	if a.method == http.MethodPost {
		e.Err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	return e
}

func (a *answer) contentType() string {
	t, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if t == "" {
		return "no content type"
	}
	return oneLine(t, 60)
}

// json reads the body, which must be one JSON object.
func (a *answer) json(doing string, into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return a.unreadable(doing, plainJSON(err))
	}
	return nil
}

// plainJSON drops what a JSON error quotes of the body.
func plainJSON(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON at byte %d", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("member %q is not a %s", e.Field, e.Type)
	}
	return errors.New("not the JSON that was expected")
}

// location is the Location header as an absolute URL.
func (a *answer) location() string { return resolve(a.url, a.header.Get("Location")) }

func (a *answer) retryAfter() time.Duration {
	return ParseRetryAfter(a.header.Get("Retry-After"), a.clock())
}

// clock is the time at the CA when it answered: a date in Retry-After is
// measured by the clock that wrote it, not by ours.
func (a *answer) clock() time.Time {
	if t, err := http.ParseTime(a.header.Get("Date")); err == nil {
		return t
	}
	return a.at
}

type orderKey struct{}

type orderIDs struct{ order, account, authority int64 }

// WithOrder notes on whose behalf the exchanges of ctx are made; zero means none.
func WithOrder(ctx context.Context, orderID, accountID, authorityID int64) context.Context {
	return context.WithValue(ctx, orderKey{}, orderIDs{orderID, accountID, authorityID})
}

func (c *Client) tell(ctx context.Context, x certfleet.Exchange) {
	ids, _ := ctx.Value(orderKey{}).(orderIDs)
	x.OrderID, x.AccountID, x.AuthorityID = ids.order, ids.account, ids.authority
	c.record(ctx, x)
}

func (c *Client) trace(ctx context.Context, w wire, a *answer, x certfleet.Exchange) {
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{slog.String("kind", x.Kind), slog.String("method", x.Method), slog.String("url", x.URL), slog.Int("status", x.Status), slog.Duration("took", x.Took)}
	if len(w.payload) > 0 {
		attrs = append(attrs, slog.String("request", plainBody(w.payload)))
	}
	if a != nil && len(a.body) > 0 {
		attrs = append(attrs, slog.String("answer", plainBody(a.body)))
	}
	if x.Problem != "" {
		attrs = append(attrs, slog.String("problem", x.Problem))
	}
	if x.RetryAfter != "" {
		attrs = append(attrs, slog.String("retry_after", x.RetryAfter))
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "exchange with the CA", attrs...)
}
