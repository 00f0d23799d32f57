package redis

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

// sealMark begins a sealed key; what follows is the sealing key's id, a colon,
// and base64 of nonce, ciphertext and tag.
const sealMark = "sealed:v1:"

// sealer seals private keys for edges that hold the same key file.
type sealer struct {
	id   string
	aead cipher.AEAD
}

func openSealer(ref string) (*sealer, error) {
	if ref == "" {
		return nil, nil
	}
	raw, err := dial.Reference(ref)
	if err != nil {
		return nil, fmt.Errorf("seal_key: %w", err)
	}
	key, ok := sealKey(raw)
	if !ok {
		return nil, invalid("make one with: openssl rand -hex 32", nil, "seal_key does not hold 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal_key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal_key: %w", err)
	}
	sum := sha256.Sum256(key)
	return &sealer{id: hex.EncodeToString(sum[:8]), aead: aead}, nil
}

// sealKey reads 32 bytes as hex, as base64 or as they are.
func sealKey(raw certfleet.Secret) (certfleet.Secret, bool) {
	if len(raw) == 32 {
		return raw, true
	}
	text := strings.TrimSpace(string(raw))
	if b, err := hex.DecodeString(text); err == nil && len(b) == 32 {
		return b, true
	}
	b, err := base64.StdEncoding.DecodeString(text)
	return b, err == nil && len(b) == 32
}

func sealAAD(keyID string) []byte { return []byte("certfleet:key:" + keyID) }

func (s *sealer) seal(keyID string, plain certfleet.Secret) string {
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce) // never fails
	return sealMark + s.id + ":" + base64.StdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, sealAAD(keyID)))
}

// open is the inverse of seal; a value that is not sealed is answered as it is.
func (s *sealer) open(keyID, value string) (certfleet.Secret, error) {
	rest, sealed := strings.CutPrefix(value, sealMark)
	if !sealed {
		return certfleet.Secret(value), nil
	}
	id, body, _ := strings.Cut(rest, ":")
	if s == nil || s.id != id {
		return nil, &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("key %s is sealed under %s, which is not here", keyID, id), Advice: "set seal_key to the file that it was sealed with, or prime again"}
	}
	b, err := base64.StdEncoding.DecodeString(body)
	if err != nil || len(b) < s.aead.NonceSize() {
		return nil, fmt.Errorf("open key %s: it is damaged", keyID)
	}
	plain, err := s.aead.Open(nil, b[:s.aead.NonceSize()], b[s.aead.NonceSize():], sealAAD(keyID))
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", keyID, err)
	}
	return plain, nil
}
