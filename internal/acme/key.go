package acme

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/certfleet/certfleet"
)

// Thumbprint names a public key (RFC 7638), in base64url.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	if _, err := algorithmOf(pub); err != nil {
		return "", err
	}
	sum, err := (&jose.JSONWebKey{Key: pub}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("thumbprint of a key: %w", err)
	}
	return b64.EncodeToString(sum), nil
}

// KeyAuthorization is what answers a challenge (RFC 8555 section 8.1). It
// refuses a token that is not base64url, for tokens become paths and file names.
func KeyAuthorization(token string, accountKey crypto.Signer) (string, error) {
	if !isBase64URL(token) || len(token) > 256 {
		return "", errors.New("the challenge's token is not base64url")
	}
	t, err := Thumbprint(accountKey.Public())
	if err != nil {
		return "", err
	}
	return token + "." + t, nil
}

// ParseJWK reads a private account key in JWK form (RFC 7517), such as the
// private_key.json of an older client. Errors never quote the key.
func ParseJWK(b []byte) (crypto.Signer, error) {
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(b); err != nil {
		return nil, badJWK("is not a JSON web key")
	}
	signer, ok := k.Key.(crypto.Signer)
	if !ok || k.IsPublic() || !k.Valid() {
		return nil, badJWK("holds no private key")
	}
	if _, err := algorithmOf(signer.Public()); err != nil {
		return nil, badJWK("is of a type that no account uses")
	}
	return signer, nil
}

func badJWK(why string) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the account key " + why, Advice: "give a private key of type P-256, P-384 or RSA 2048 and more, as a JSON web key"}
}

// ParseHMAC reads the key of an external account binding as CAs hand it out:
// base64url or plain base64, with or without padding.
func ParseHMAC(s string) (certfleet.Secret, error) {
	s = strings.NewReplacer("+", "-", "/", "_", "=", "", "\n", "", "\r", "", " ", "").Replace(s)
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) == 0 {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the HMAC key of the external account binding is not base64", Advice: "copy the HMAC key from the CA's page once more, whole"}
	}
	return b, nil
}
