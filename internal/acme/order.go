package acme

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

var errNoLocation = errors.New("the answer has no Location")

// OrderRequest is what a new order asks for (RFC 8555 section 7.4).
type OrderRequest struct {
	Names     []certfleet.Name
	Profile   string    // one of the directory's profiles; empty for the CA's default
	Replaces  string    // the ARI id of the certificate it replaces (RFC 9773 section 5)
	NotBefore time.Time // most CAs take neither
	NotAfter  time.Time
}

// Order is how an order stands at the CA (RFC 8555 section 7.1.3).
type Order struct {
	URL            string
	Status         string // pending, ready, processing, valid or invalid
	Expires        time.Time
	Names          []certfleet.Name
	Profile        string
	Replaces       string
	NotBefore      time.Time
	NotAfter       time.Time
	Authorizations []string // URLs, one a name
	Finalize       string   // URL
	Certificate    string   // URL, once valid
	Problem        *Problem // why it is invalid
	RetryAfter     time.Duration
}

type orderJSON struct {
	Status         string       `json:"status,omitempty"`
	Expires        string       `json:"expires,omitempty"`
	Identifiers    []identifier `json:"identifiers,omitempty"`
	Profile        string       `json:"profile,omitempty"`
	Replaces       string       `json:"replaces,omitempty"`
	NotBefore      string       `json:"notBefore,omitempty"`
	NotAfter       string       `json:"notAfter,omitempty"`
	Authorizations []string     `json:"authorizations,omitempty"`
	Finalize       string       `json:"finalize,omitempty"`
	Certificate    string       `json:"certificate,omitempty"`
	Error          *problemJSON `json:"error,omitempty"`
}

// identifier is a name on the wire (RFC 8555 section 7.1.3, RFC 8738 section 3).
type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func identify(n certfleet.Name) identifier {
	if n.IsIP() {
		return identifier{"ip", n.String()}
	}
	return identifier{"dns", n.String()}
}

// NewOrder places an order, with one request that is never repeated: when its
// answer is lost the CA may have an order that counts against its limits, and an
// error that is ErrUnsent says that it has none. An
// Order with a URL beside an error was placed, but its body could not be read;
// GetOrder can.
func (c *Client) NewOrder(ctx context.Context, acct Account, req OrderRequest) (Order, error) {
	doing := "place order for " + inWords(req.Names)
	dir, err := c.Directory(ctx)
	if err != nil {
		return Order{}, unsent{err}
	}
	var got orderJSON
	a, err := c.call(ctx, acct.as(request{kind: "order", doing: doing, url: dir.NewOrder, payload: req.wire()}), &got)
	if err != nil {
		return placed(a), err
	}
	if a.location() == "" {
		return Order{}, a.unreadable(doing, errNoLocation)
	}
	o, err := got.order(a, a.location())
	if err != nil {
		return Order{URL: a.location()}, fmt.Errorf("%s: %w", doing, err)
	}
	return o, nil
}

// placed is what is known of an order whose body was spoiled on its way.
func placed(a *answer) Order {
	if a == nil || a.status != 201 {
		return Order{}
	}
	return Order{URL: a.location()}
}

func (r OrderRequest) wire() orderJSON {
	j := orderJSON{Profile: r.Profile, Replaces: r.Replaces, NotBefore: stamp(r.NotBefore), NotAfter: stamp(r.NotAfter)}
	for _, n := range r.Names {
		j.Identifiers = append(j.Identifiers, identify(n))
	}
	return j
}

// order turns what the CA said into our words.
func (j orderJSON) order(a *answer, url string) (Order, error) {
	o := Order{
		URL: url, Status: j.Status, Profile: j.Profile, Replaces: j.Replaces,
		Expires: parseTime(j.Expires), NotBefore: parseTime(j.NotBefore), NotAfter: parseTime(j.NotAfter),
		Authorizations: j.Authorizations, Finalize: j.Finalize, Certificate: j.Certificate,
		Problem: j.Error.problem(), RetryAfter: a.retryAfter(),
	}
	if o.Status == "" {
		return Order{}, a.unreadable("read an order", errors.New("it has no status"))
	}
	for _, id := range j.Identifiers {
		n, err := certfleet.ParseName(id.Value)
		if err != nil {
			return Order{}, fmt.Errorf("read an order: %w", err)
		}
		o.Names = append(o.Names, n)
	}
	return o, nil
}

// GetOrder asks how an order stands.
func (c *Client) GetOrder(ctx context.Context, acct Account, url string) (Order, error) {
	return c.order(ctx, acct, request{kind: "order", doing: "read an order", url: url}, url)
}

// Finalize sends the CSR, in DER, in one request; the order it returns may still
// be processing. The CA refuses with orderNotReady when the order is not ready,
// also because it was finalized before: ask GetOrder then.
func (c *Client) Finalize(ctx context.Context, acct Account, finalizeURL string, csrDER []byte) (Order, error) {
	payload := struct {
		CSR string `json:"csr"`
	}{b64.EncodeToString(csrDER)}
	return c.order(ctx, acct, request{kind: "finalize", doing: "finalize an order", url: finalizeURL, payload: payload}, "")
}

// order makes a request that is answered with an order. Its URL is the
// answer's Location if there is one (a finalized order need not have it).
func (c *Client) order(ctx context.Context, acct Account, r request, url string) (Order, error) {
	var got orderJSON
	a, err := c.call(ctx, acct.as(r), &got)
	if err != nil {
		return Order{}, err
	}
	if loc := a.location(); loc != "" && url == "" {
		url = loc
	}
	return got.order(a, url)
}

// Orders lists a page of the account's orders, and where the next page is, if
// there is one (RFC 8555 section 7.1.2.1). The first page is AccountInfo.Orders.
func (c *Client) Orders(ctx context.Context, acct Account, page string) (urls []string, next string, err error) {
	var got struct {
		Orders []string `json:"orders"`
	}
	a, err := c.call(ctx, acct.as(request{kind: "order", doing: "list the account's orders", url: page}), &got)
	if err != nil {
		return nil, "", err
	}
	return got.Orders, link(a.header, a.url, "next"), nil
}

// inWords names the first name and how many more there are.
func inWords(names []certfleet.Name) string {
	switch len(names) {
	case 0:
		return "no name"
	case 1:
		return names[0].String()
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// parseTime reads RFC 3339; the times of an order only inform, so a broken one is none.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
