package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/certfleet/certfleet"
)

// maxAlternates bounds how many chains besides the default one are fetched.
const maxAlternates = 8

const pemChain = "application/pem-certificate-chain"

// Certificate downloads a chain and its alternates (RFC 8555 section 7.4.2), each
// as PEM with the leaf first; the CA's default is the first. An alternate that
// cannot be had is logged and left out.
func (c *Client) Certificate(ctx context.Context, acct Account, url string) (chains [][]byte, err error) {
	first, more, err := c.chain(ctx, acct, "download a certificate", url)
	if err != nil {
		return nil, err
	}
	chains = append(chains, first)
	seen := []string{url}
	for _, u := range more {
		if slices.Contains(seen, u) || len(seen) > maxAlternates {
			continue
		}
		seen = append(seen, u)
		alt, _, err := c.chain(ctx, acct, "download an alternate chain", u)
		if err != nil {
			c.log.LogAttrs(ctx, slog.LevelWarn, "alternate chain left out", slog.String("url", plainURL(u)), slog.Any("error", err))
			continue
		}
		chains = append(chains, alt)
	}
	return chains, nil
}

func (c *Client) chain(ctx context.Context, acct Account, doing, url string) (chain []byte, alternates []string, err error) {
	a, err := c.post(ctx, acct.as(request{kind: "certificate", doing: doing, url: url, accept: pemChain}))
	if err != nil {
		return nil, nil, err
	}
	if err := checkPEM(a.body); err != nil {
		return nil, nil, a.unreadable(doing, err)
	}
	return a.body, links(a.header, a.url, "alternate"), nil
}

// checkPEM wants certificates and nothing else (RFC 8555 section 9.1).
func checkPEM(b []byte) error {
	n := 0
	for rest := b; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				return errors.New("it ends in something that is not PEM")
			}
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("it holds a %s", oneLine(block.Type, 40))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
	}
	if n == 0 {
		return errors.New("it holds no certificate")
	}
	return nil
}

// Revoke revokes a certificate in DER by the account that ordered it, or that
// holds valid authorizations for its names (RFC 8555 section 7.6). The reason is
// a code of RFC 5280 section 5.3.1.
func (c *Client) Revoke(ctx context.Context, acct Account, der []byte, reason int) error {
	return c.revoke(ctx, acct, der, reason)
}

// RevokeWithKey revokes a certificate by its own private key.
func (c *Client) RevokeWithKey(ctx context.Context, certKey crypto.Signer, der []byte, reason int) error {
	return c.revoke(ctx, Account{Key: certKey}, der, reason)
}

func (c *Client) revoke(ctx context.Context, acct Account, der []byte, reason int) error {
	const doing = "revoke a certificate"
	dir, err := c.Directory(ctx)
	if err != nil {
		return err
	}
	if dir.RevokeCert == "" {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: doing + ": the CA offers no revocation by ACME", Advice: "ask the CA to revoke it"}
	}
	payload := struct {
		Certificate string `json:"certificate"`
		Reason      int    `json:"reason"`
	}{b64.EncodeToString(der), reason}
	_, err = c.call(ctx, acct.as(request{kind: "revoke", doing: doing, url: dir.RevokeCert, payload: payload}), nil)
	return err
}
