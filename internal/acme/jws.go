package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // ES384
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"
)

var b64 = base64.RawURLEncoding

// signed is a JWS in flattened JSON (RFC 7515 section 7.2.2). The payload is
// always there: an empty one is POST-as-GET (RFC 8555 section 6.3).
type signed struct {
	Protected string `json:"protected"`
	Payload   string `json:"payload"`
	Signature string `json:"signature"`
}

// protected is the header of a JWS (RFC 8555 section 6.2).
type protected struct {
	Alg   string           `json:"alg"`
	Nonce string           `json:"nonce,omitempty"`
	URL   string           `json:"url"`
	KeyID string           `json:"kid,omitempty"`
	JWK   *jose.JSONWebKey `json:"jwk,omitempty"`
}

// algorithm is how one kind of key signs.
type algorithm struct {
	name string
	hash crypto.Hash
	size int // bytes of one ECDSA integer, zero for RSA
}

var errKeyType = errors.New("an account key must be P-256, P-384 or RSA of at least 2048 bits")

func algorithmOf(pub crypto.PublicKey) (algorithm, error) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve.Params().BitSize {
		case 256:
			return algorithm{"ES256", crypto.SHA256, 32}, nil
		case 384:
			return algorithm{"ES384", crypto.SHA384, 48}, nil
		}
	case *rsa.PublicKey:
		if pub.N.BitLen() >= 2048 {
			return algorithm{"RS256", crypto.SHA256, 0}, nil
		}
	}
	return algorithm{}, errKeyType
}

// encode is the payload's JSON; nil stays empty.
func encode(payload any) ([]byte, error) {
	if payload == nil {
		return nil, nil
	}
	b, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode a request: %w", err)
	}
	return b, nil
}

// sign makes the JWS; without a key id the public key goes along.
func sign(key crypto.Signer, h protected, payload []byte) ([]byte, error) {
	s, err := seal(key, h, payload)
	if err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

func seal(key crypto.Signer, h protected, payload []byte) (signed, error) {
	if key == nil {
		return signed{}, errors.New("sign: there is no account key")
	}
	alg, err := algorithmOf(key.Public())
	if err != nil {
		return signed{}, fmt.Errorf("sign: %w", err)
	}
	h.Alg = alg.name
	if h.KeyID == "" {
		h.JWK = &jose.JSONWebKey{Key: key.Public()}
	}
	return h.over(payload, func(input []byte) ([]byte, error) { return alg.sign(key, input) })
}

// over joins header, payload and what signs them (RFC 7515 section 5.1).
func (h protected) over(payload []byte, by func(input []byte) ([]byte, error)) (signed, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return signed{}, fmt.Errorf("sign: %w", err)
	}
	s := signed{Protected: b64.EncodeToString(head), Payload: b64.EncodeToString(payload)}
	sig, err := by([]byte(s.Protected + "." + s.Payload))
	if err != nil {
		return signed{}, fmt.Errorf("sign: %w", err)
	}
	s.Signature = b64.EncodeToString(sig)
	return s, nil
}

func (alg algorithm) sign(key crypto.Signer, input []byte) ([]byte, error) {
	h := alg.hash.New()
	h.Write(input)
	sig, err := key.Sign(rand.Reader, h.Sum(nil), alg.hash)
	if err != nil || alg.size == 0 {
		return sig, err
	}
	var point struct{ R, S *big.Int } // JWS wants R and S side by side (RFC 7518 section 3.4)
	if _, err := asn1.Unmarshal(sig, &point); err != nil {
		return nil, err
	}
	if point.R.Sign() < 0 || point.S.Sign() < 0 || point.R.BitLen() > 8*alg.size || point.S.BitLen() > 8*alg.size {
		return nil, errors.New("the key's signature is out of range")
	}
	out := make([]byte, 2*alg.size)
	point.R.FillBytes(out[:alg.size])
	point.S.FillBytes(out[alg.size:])
	return out, nil
}

// bind makes an external account binding (RFC 8555 section 7.3.4).
func bind(key crypto.Signer, eab *EAB, url string) (signed, error) {
	jwk, err := json.Marshal(jose.JSONWebKey{Key: key.Public()})
	if err != nil {
		return signed{}, fmt.Errorf("bind the account: %w", err)
	}
	return protected{Alg: "HS256", KeyID: eab.KeyID, URL: url}.over(jwk, func(input []byte) ([]byte, error) {
		mac := hmac.New(sha256.New, eab.HMAC)
		mac.Write(input)
		return mac.Sum(nil), nil
	})
}
