package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Window is when a CA would like a certificate to be renewed (RFC 9773 section 4.2).
type Window struct {
	Start          time.Time
	End            time.Time // exclusive
	ExplanationURL string    // why, when there is something to explain
	RetryAfter     time.Duration
}

// ARIID names a certificate in renewal information and in replaces (RFC 9773
// section 4.1). Certificates without an authority key identifier have none.
func ARIID(leaf *x509.Certificate) (string, error) {
	if len(leaf.AuthorityKeyId) == 0 || leaf.SerialNumber == nil || leaf.SerialNumber.Sign() <= 0 {
		return "", errors.New("the certificate has no authority key identifier, so no renewal information")
	}
	serial := leaf.SerialNumber.Bytes()
	if serial[0]&0x80 != 0 {
		serial = append([]byte{0}, serial...) // as DER writes a positive integer
	}
	return b64.EncodeToString(leaf.AuthorityKeyId) + "." + b64.EncodeToString(serial), nil
}

// RenewalInfo asks when the certificate with this ARIID should be renewed. It
// needs no account. A CA without renewal information is an error of kind NotFound.
func (c *Client) RenewalInfo(ctx context.Context, ariID string) (Window, error) {
	const doing = "read renewal information"
	dir, err := c.Directory(ctx)
	if err != nil {
		return Window{}, err
	}
	if dir.RenewalInfo == "" {
		return Window{}, &certfleet.Error{Kind: certfleet.NotFound, Msg: "the CA offers no renewal information", Advice: "renew by the certificate's lifetime"}
	}
	var got struct {
		Window struct {
			Start time.Time `json:"start"`
			End   time.Time `json:"end"`
		} `json:"suggestedWindow"`
		ExplanationURL string `json:"explanationURL"`
	}
	a, err := c.get(ctx, "ari", doing, strings.TrimRight(dir.RenewalInfo, "/")+"/"+ariID, &got)
	if err != nil {
		return Window{}, err
	}
	w := Window{Start: got.Window.Start.UTC(), End: got.Window.End.UTC(), ExplanationURL: oneLine(got.ExplanationURL, 500), RetryAfter: a.retryAfter()}
	if w.Start.IsZero() || !w.End.After(w.Start) {
		return Window{}, a.unreadable(doing, errors.New("its window has no end after its start"))
	}
	return w, nil
}
