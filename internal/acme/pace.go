package acme

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrUnsent means that what was asked for has not left: the CA has done nothing
// and counted nothing of it.
var ErrUnsent = errors.New("the request was not sent")

// errHeld means that a request was held back here.
var errHeld = errors.New("the request was held back")

// unsent is err with ErrUnsent in its chain, in err's own words.
type unsent struct{ error }

func (u unsent) Unwrap() []error { return []error{ErrUnsent, u.error} }

// await waits until a request may leave.
func (c *Client) await(ctx context.Context, w wire) error {
	if c.pace == nil {
		return nil
	}
	if err := c.pace(ctx, c.endpoint(w.url)); err != nil {
		return unsent{fmt.Errorf("%s: %w: %w", w.doing, errHeld, err)}
	}
	return nil
}

// endpoint is the directory's word for where a request goes (RFC 8555 section
// 7.1.1), directory for itself, and other for what has no word.
func (c *Client) endpoint(url string) string {
	if url == c.url {
		return "directory"
	}
	d := c.dir.known()
	switch url {
	case "":
		return "other"
	case d.NewNonce:
		return "newNonce"
	case d.NewAccount:
		return "newAccount"
	case d.NewOrder:
		return "newOrder"
	case d.RevokeCert:
		return "revokeCert"
	}
	if info := strings.TrimRight(d.RenewalInfo, "/"); info != "" && strings.HasPrefix(url, info+"/") {
		return "renewalInfo"
	}
	return "other"
}
