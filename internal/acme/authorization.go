package acme

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// Authorization is how the proof for one name stands (RFC 8555 section 7.1.4).
type Authorization struct {
	URL        string
	Status     string         // pending, valid, invalid, deactivated, expired or revoked
	Name       certfleet.Name // without a leading star
	Wildcard   bool           // the order asked for *.Name
	Expires    time.Time
	Challenges []Challenge
	RetryAfter time.Duration
}

// Challenge is one way to prove control of a name (RFC 8555 section 8). Types
// that we do not know are listed too.
type Challenge struct {
	URL        string
	Type       certfleet.ChallengeType
	Status     string // pending, processing, valid or invalid
	Token      string
	Validated  time.Time
	Problem    *Problem // why it is invalid
	RetryAfter time.Duration
}

type authorizationJSON struct {
	Status     string          `json:"status"`
	Identifier identifier      `json:"identifier"`
	Wildcard   bool            `json:"wildcard"`
	Expires    string          `json:"expires"`
	Challenges []challengeJSON `json:"challenges"`
}

type challengeJSON struct {
	URL       string       `json:"url"`
	Type      string       `json:"type"`
	Status    string       `json:"status"`
	Token     string       `json:"token"`
	Validated string       `json:"validated"`
	Error     *problemJSON `json:"error"`
}

// GetAuthorization asks how an authorization stands.
func (c *Client) GetAuthorization(ctx context.Context, acct Account, url string) (Authorization, error) {
	return c.authorization(ctx, acct, request{kind: "authz", doing: "read an authorization", url: url})
}

// DeactivateAuthorization gives an authorization up (RFC 8555 section 7.5.2); its
// order becomes invalid.
func (c *Client) DeactivateAuthorization(ctx context.Context, acct Account, url string) (Authorization, error) {
	payload := struct {
		Status string `json:"status"`
	}{"deactivated"}
	return c.authorization(ctx, acct, request{kind: "authz", doing: "deactivate an authorization", url: url, payload: payload})
}

func (c *Client) authorization(ctx context.Context, acct Account, r request) (Authorization, error) {
	var got authorizationJSON
	a, err := c.call(ctx, acct.as(r), &got)
	if err != nil {
		return Authorization{}, err
	}
	z := Authorization{URL: r.url, Status: got.Status, Wildcard: got.Wildcard, Expires: parseTime(got.Expires), RetryAfter: a.retryAfter()}
	if z.Name, err = certfleet.ParseName(got.Identifier.Value); err != nil {
		return Authorization{}, fmt.Errorf("%s: %w", r.doing, err)
	}
	for _, ch := range got.Challenges {
		z.Challenges = append(z.Challenges, ch.challenge())
	}
	return z, nil
}

func (j challengeJSON) challenge() Challenge {
	return Challenge{URL: j.URL, Type: certfleet.ChallengeType(j.Type), Status: j.Status, Token: j.Token, Validated: parseTime(j.Validated), Problem: j.Error.problem()}
}

// Answer tells the CA to look at a challenge now (RFC 8555 section 7.5.1). A CA
// may refuse it as malformed when the challenge was answered before; the
// authorization tells how it stands. It is not sent again by another key of the
// account: what is presented hangs on the key (section 8.1).
func (c *Client) Answer(ctx context.Context, acct Account, challengeURL string) (Challenge, error) {
	acct.Changed = nil
	var got challengeJSON
	a, err := c.call(ctx, acct.as(request{kind: "challenge", doing: "answer a challenge", url: challengeURL, payload: struct{}{}}), &got)
	if err != nil {
		return Challenge{}, err
	}
	ch := got.challenge()
	ch.RetryAfter = a.retryAfter()
	return ch, nil
}
