package acme

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/certfleet/certfleet"
)

// Bounds of one exchange.
const (
	maxBody     = 1 << 20          // bytes of an answer; a chain is some 5 KB
	maxBadNonce = 12               // repetitions after a refused nonce
	maxWait     = 45 * time.Second // one request with its answer
)

// Options of a Client. DirectoryURL alone is required.
type Options struct {
	// DirectoryURL is the CA's directory (RFC 8555 section 7.1.1).
	DirectoryURL string
	// HTTP makes the requests. Its idle connections should be dropped after less
	// time than the CA's server keeps them, or a POST may be lost on a dead one.
	// Its CheckRedirect is asked for the directory and renewal information;
	// signed requests never follow a redirect.
	HTTP *http.Client
	// UserAgent is sent with every request (RFC 8555 section 6.1).
	UserAgent string
	// Timeout bounds one request with its answer, 45 s if zero.
	Timeout time.Duration
	// Record is told of every exchange; it must not block for long. Its context
	// is the operation's and may be done.
	Record func(ctx context.Context, x certfleet.Exchange)
	// Pace, if set, returns when a request to an endpoint may leave, or why it may
	// not. Endpoints are the directory's words, directory and other.
	Pace func(ctx context.Context, endpoint string) error
	// Log gets every exchange at debug level, with bodies, without secrets.
	Log *slog.Logger
}

// Client speaks with one CA. It may be used by many goroutines at a time.
type Client struct {
	url     string
	http    *http.Client
	agent   string
	timeout time.Duration
	record  func(context.Context, certfleet.Exchange)
	pace    func(ctx context.Context, endpoint string) error
	log     *slog.Logger
	nonces  nonces
	dir     directories
}

// Account is who signs: the account's URL and its key.
type Account struct {
	URL string
	Key crypto.Signer
	// Changed, if set, is asked when a CA may have refused a signature, because the
	// account's key was changed after it was read (RFC 8555 section 7.3.5): for the
	// key that it has by now, or nil when that is the one refused. With another the
	// request is sent again, since nothing came of the first.
	Changed func(ctx context.Context, refused crypto.Signer) (crypto.Signer, error)
}

// New makes a Client; it asks the CA nothing yet.
func New(o Options) *Client {
	c := &Client{url: o.DirectoryURL, agent: o.UserAgent, timeout: o.Timeout, record: o.Record, pace: o.Pace, log: o.Log}
	if c.agent == "" {
		c.agent = certfleet.UserAgent + "/" + certfleet.Release
	}
	if c.timeout <= 0 {
		c.timeout = maxWait
	}
	if c.record == nil {
		c.record = func(context.Context, certfleet.Exchange) {}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.WithGroup("acme")
	c.http = unredirected(o.HTTP)
	c.dir.turn = make(chan struct{}, 1)
	return c
}

// unredirected is hc, except that only a GET follows redirects: a signature
// binds its URL (RFC 8555 section 6.4), and a moved POST may already be done.
func unredirected(hc *http.Client) *http.Client {
	if hc == nil {
		hc = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: 15 * time.Second}}
	}
	own := *hc
	own.Jar = nil
	own.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.Method != http.MethodGet || via[0].Method != http.MethodGet || len(via) > 3 {
			return http.ErrUseLastResponse
		}
		if hc.CheckRedirect != nil {
			return hc.CheckRedirect(r, via)
		}
		return nil
	}
	return &own
}

// request is one signed operation.
type request struct {
	kind    string // of the record
	doing   string // opens every error
	url     string
	key     crypto.Signer
	kid     string // the account's URL; empty sends the public key instead
	changed func(context.Context, crypto.Signer) (crypto.Signer, error)
	payload any // nil is POST-as-GET (RFC 8555 section 6.3)
	accept  string
}

// post sends r until the CA takes its nonce, and its key. An answer may come with an error:
// then its status and header are known, its body is not.
func (c *Client) post(ctx context.Context, r request) (*answer, error) {
	payload, err := encode(r.payload)
	if err != nil {
		return nil, err
	}
	for left := maxBadNonce; ; left-- {
		a, err := c.postOnce(ctx, r, payload)
		if err != nil {
			return a, err
		}
		p := a.problem()
		if p == nil {
			return a, nil
		}
		again, err := c.mend(ctx, &r, p)
		if err != nil {
			return nil, err
		}
		if !again || left == 0 {
			return nil, fmt.Errorf("%s: %w", r.doing, p)
		}
	}
}

// mend reports whether a refused request is to be sent again: with a fresh nonce, or
// by the key that its account has by now.
func (c *Client) mend(ctx context.Context, r *request, p *Problem) (again bool, err error) {
	if p.Name() == "badNonce" {
		c.nonces.keepNewest()
		return true, nil
	}
	if r.changed == nil || !p.OfSignature() {
		return false, nil
	}
	key, err := r.changed(ctx, r.key)
	if err != nil {
		return false, unsent{fmt.Errorf("%s: look for the account's key: %w", r.doing, err)}
	}
	if key == nil {
		return false, nil
	}
	r.key = key
	return true, nil
}

func (c *Client) postOnce(ctx context.Context, r request, payload []byte) (*answer, error) {
	nonce, err := c.nonce(ctx)
	if err != nil {
		return nil, unsent{err}
	}
	body, err := sign(r.key, protected{Nonce: nonce, URL: r.url, KeyID: r.kid}, payload)
	if err != nil {
		return nil, unsent{fmt.Errorf("%s: %w", r.doing, err)}
	}
	a, err := c.exchange(ctx, wire{kind: r.kind, doing: r.doing, method: http.MethodPost, url: r.url, accept: r.accept, nonce: nonce, body: body, payload: payload})
	if errors.Is(err, errHeld) {
		return nil, err
	}
	if err != nil {
		c.nonces.drop() // whatever is wrong there, fetch a fresh one afterwards
		return a, err
	}
	return a, nil
}

// get fetches what needs no signature and reads it as JSON.
func (c *Client) get(ctx context.Context, kind, doing, url string, into any) (*answer, error) {
	a, err := c.exchange(ctx, wire{kind: kind, doing: doing, method: http.MethodGet, url: url, accept: "application/json"})
	if err != nil {
		return nil, err
	}
	if p := a.problem(); p != nil {
		return nil, fmt.Errorf("%s: %w", doing, p)
	}
	return a, a.json(doing, into)
}

// call is post with an answer in JSON; into may be nil.
func (c *Client) call(ctx context.Context, r request, into any) (*answer, error) {
	a, err := c.post(ctx, r)
	if err != nil || into == nil {
		return a, err
	}
	return a, a.json(r.doing, into)
}

// as is r signed by acct.
func (acct Account) as(r request) request {
	r.key, r.kid, r.changed = acct.Key, acct.URL, acct.Changed
	return r
}
