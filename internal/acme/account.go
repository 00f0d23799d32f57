package acme

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/certfleet/certfleet"
)

// EAB is a CA's word for who we are, given outside of ACME (RFC 8555 section
// 7.3.4). CAs let it be used once.
type EAB struct {
	KeyID string
	HMAC  certfleet.Secret // the key itself, decoded; see ParseHMAC
}

// Registration is what a new account says of itself.
type Registration struct {
	Contact     []string // URLs such as mailto:tls@example.com
	TermsAgreed bool
	EAB         *EAB
}

// AccountInfo is what the CA says of an account (RFC 8555 section 7.1.2).
type AccountInfo struct {
	URL      string
	Status   string // valid, deactivated or revoked
	Contact  []string
	Orders   string // where its orders are listed; empty at CAs that list none
	Existing bool   // it was there before
}

type accountJSON struct {
	Status               string    `json:"status,omitempty"`
	Contact              *[]string `json:"contact,omitempty"`
	TermsOfServiceAgreed bool      `json:"termsOfServiceAgreed,omitempty"`
	OnlyReturnExisting   bool      `json:"onlyReturnExisting,omitempty"`
	EAB                  *signed   `json:"externalAccountBinding,omitempty"`
	Orders               string    `json:"orders,omitempty"`
}

// Register makes an account for key, or finds the one that key has already: so
// it may be called again when an answer was lost.
func (c *Client) Register(ctx context.Context, key crypto.Signer, reg Registration) (AccountInfo, error) {
	const doing = "register an account"
	dir, err := c.Directory(ctx)
	if err != nil {
		return AccountInfo{}, err
	}
	body := accountJSON{TermsOfServiceAgreed: reg.TermsAgreed}
	if len(reg.Contact) > 0 {
		body.Contact = &reg.Contact
	}
	if reg.EAB != nil {
		eab, err := bind(key, reg.EAB, dir.NewAccount)
		if err != nil {
			return AccountInfo{}, fmt.Errorf("%s: %w", doing, err)
		}
		body.EAB = &eab
	}
	return c.newAccount(ctx, doing, dir, key, body)
}

// Find is the account that key has at the CA (RFC 8555 section 7.3.1), or a
// Problem named accountDoesNotExist.
func (c *Client) Find(ctx context.Context, key crypto.Signer) (AccountInfo, error) {
	dir, err := c.Directory(ctx)
	if err != nil {
		return AccountInfo{}, err
	}
	return c.newAccount(ctx, "find the account of a key", dir, key, accountJSON{OnlyReturnExisting: true})
}

func (c *Client) newAccount(ctx context.Context, doing string, dir Directory, key crypto.Signer, body accountJSON) (AccountInfo, error) {
	var got accountJSON
	a, err := c.call(ctx, request{kind: "account", doing: doing, url: dir.NewAccount, key: key, payload: body}, &got)
	if err != nil {
		return AccountInfo{}, err
	}
	info := got.info(a.location())
	info.Existing = a.status == 200
	if info.URL == "" {
		return AccountInfo{}, a.unreadable(doing, errNoLocation)
	}
	return info, nil
}

func (j accountJSON) info(url string) AccountInfo {
	info := AccountInfo{URL: url, Status: j.Status, Orders: j.Orders}
	if j.Contact != nil {
		info.Contact = *j.Contact
	}
	return info
}

// AccountInfo asks how the account stands.
func (c *Client) AccountInfo(ctx context.Context, acct Account) (AccountInfo, error) {
	return c.account(ctx, acct, "read the account", nil)
}

// UpdateContact replaces the account's contacts; none removes them.
func (c *Client) UpdateContact(ctx context.Context, acct Account, contact []string) (AccountInfo, error) {
	if contact == nil {
		contact = []string{}
	}
	return c.account(ctx, acct, "change the account's contacts", accountJSON{Contact: &contact})
}

// Deactivate gives the account up for good (RFC 8555 section 7.3.6).
func (c *Client) Deactivate(ctx context.Context, acct Account) (AccountInfo, error) {
	return c.account(ctx, acct, "deactivate the account", accountJSON{Status: "deactivated"})
}

func (c *Client) account(ctx context.Context, acct Account, doing string, payload any) (AccountInfo, error) {
	var got accountJSON
	if _, err := c.call(ctx, acct.as(request{kind: "account", doing: doing, url: acct.URL, payload: payload}), &got); err != nil {
		return AccountInfo{}, err
	}
	info := got.info(acct.URL) // not every CA repeats Location here
	info.Existing = true
	return info, nil
}

// Rollover gives the account a new key (RFC 8555 section 7.3.5). When its answer
// is lost, Find with the new key tells whether it was done.
func (c *Client) Rollover(ctx context.Context, acct Account, newKey crypto.Signer) error {
	const doing = "change the account's key"
	dir, err := c.Directory(ctx)
	if err != nil {
		return err
	}
	if dir.KeyChange == "" {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: doing + ": the CA offers no key change", Advice: "register a new account and let its certificates renew there"}
	}
	acct.Changed = nil // the request says which key it replaces
	inner, err := rollover(acct, newKey, dir.KeyChange)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	_, err = c.call(ctx, acct.as(request{kind: "account", doing: doing, url: dir.KeyChange, payload: inner}), nil)
	return err
}

// rollover is the inner JWS, by which the new key says that it wants the account.
func rollover(acct Account, newKey crypto.Signer, url string) (signed, error) {
	payload, err := json.Marshal(struct {
		Account string          `json:"account"`
		OldKey  jose.JSONWebKey `json:"oldKey"`
	}{acct.URL, jose.JSONWebKey{Key: acct.Key.Public()}})
	if err != nil {
		return signed{}, err
	}
	return seal(newKey, protected{URL: url}, payload)
}
