package fakeca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"math/big"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// algorithms that accounts may sign with (RFC 7518 section 3.1).
var algorithms = []string{"ES256", "ES384", "RS256"}

// envelope is a flattened JWS (RFC 7515 section 7.2.2).
type envelope struct {
	Protected string  `json:"protected"`
	Payload   *string `json:"payload"`
	Signature string  `json:"signature"`
}

// header is what is protected (RFC 8555 section 6.2).
type header struct {
	Alg   string          `json:"alg"`
	Nonce string          `json:"nonce"`
	URL   string          `json:"url"`
	KeyID string          `json:"kid"`
	JWK   json.RawMessage `json:"jwk"`
}

// message is a JWS taken apart, its signature not yet checked.
type message struct {
	header
	payload   []byte
	input     []byte // what was signed
	signature []byte
}

func open(raw []byte) (*message, *Problem) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, malformed("the request is not a JWS in flattened JSON")
	}
	if e.Payload == nil {
		return nil, malformed("the JWS has no payload")
	}
	var m message
	head, err1 := b64.DecodeString(e.Protected)
	payload, err2 := b64.DecodeString(*e.Payload)
	sig, err3 := b64.DecodeString(e.Signature)
	if err1 != nil || err2 != nil || err3 != nil || json.Unmarshal(head, &m.header) != nil {
		return nil, malformed("the JWS is not encoded as it should be")
	}
	m.payload, m.signature = payload, sig
	m.input = append(append(append(make([]byte, 0, len(e.Protected)+1+len(*e.Payload)), e.Protected...), '.'), *e.Payload...)
	return &m, nil
}

// key reads the key that came along.
func (m *message) key() (crypto.PublicKey, string, *Problem) {
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(m.JWK, &jwk); err != nil || !jwk.Valid() || !jwk.IsPublic() {
		return nil, "", malformed("the JWS has no readable public key")
	}
	switch k := jwk.Key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, "", problem(400, "badPublicKey", "keys on this curve are not accepted")
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 || k.N.BitLen() > 4096 {
			return nil, "", problem(400, "badPublicKey", "an RSA key of %d bits is not accepted", k.N.BitLen())
		}
	default:
		return nil, "", problem(400, "badPublicKey", "keys of this kind are not accepted")
	}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", malformed("the public key has no thumbprint")
	}
	return jwk.Key, b64.EncodeToString(sum), nil
}

// verify checks the signature.
func (m *message) verify(pub crypto.PublicKey) *Problem {
	if !slices.Contains(algorithms, m.Alg) {
		return problem(400, "badSignatureAlgorithm", "algorithm %q is not accepted", m.Alg)
	}
	good := false
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		good = m.verifyECDSA(k)
	case *rsa.PublicKey:
		sum := sha256.Sum256(m.input)
		good = m.Alg == "RS256" && rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], m.signature) == nil
	}
	if !good {
		return malformed("the JWS signature does not verify")
	}
	return nil
}

func (m *message) verifyECDSA(k *ecdsa.PublicKey) bool {
	size := (k.Curve.Params().BitSize + 7) / 8
	if len(m.signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(m.signature[:size]), new(big.Int).SetBytes(m.signature[size:])
	switch {
	case m.Alg == "ES256" && size == 32:
		sum := sha256.Sum256(m.input)
		return ecdsa.Verify(k, sum[:], r, s)
	case m.Alg == "ES384" && size == 48:
		sum := sha512.Sum384(m.input)
		return ecdsa.Verify(k, sum[:], r, s)
	}
	return false
}

// checkEAB checks an external account binding: an HMAC over the account's key
// (RFC 8555 section 7.3.4).
func checkEAB(raw, accountJWK []byte, url string, keys map[string][]byte) (id string, p *Problem) {
	m, p := open(raw)
	if p != nil {
		return "", p
	}
	secret, ok := keys[m.KeyID]
	if !ok {
		return "", unauthorized("the external account binding key is not known")
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(m.input)
	switch {
	case m.Alg != "HS256":
		return "", problem(400, "badSignatureAlgorithm", "the external account binding must use HS256")
	case m.URL != url || m.Nonce != "":
		return "", malformed("the external account binding is for another request")
	case !hmac.Equal(mac.Sum(nil), m.signature):
		return "", unauthorized("the external account binding does not verify")
	case !sameKey(m.payload, accountJWK):
		return "", malformed("the external account binding is for another key")
	}
	return m.KeyID, nil
}

func sameKey(a, b []byte) bool {
	var x, y jose.JSONWebKey
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, err1 := x.Thumbprint(crypto.SHA256)
	q, err2 := y.Thumbprint(crypto.SHA256)
	return err1 == nil && err2 == nil && bytes.Equal(p, q)
}
