// Package keeper holds the sealing key that the keepers file and env read: its
// text form, how it seals data keys, and the age identity for backups.
package keeper

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/certfleet/certfleet"
)

// keySize is 256 bits in bytes.
const keySize = 32

// What is derived from a sealing key. Each use has a key of its own, so that
// nothing sealed for one purpose can be opened by another.
const (
	infoID     = "certfleet key id v1"
	infoSeal   = "certfleet data key seal v1"
	infoBackup = "certfleet backup age v1"
)

// Key is a sealing key. It is a certfleet.Keeper, and is safe for concurrent use.
type Key struct {
	secret certfleet.Secret
	id     string
	aead   cipher.AEAD
}

// Generate makes a new sealing key from the system's random source.
func Generate() (*Key, error) {
	secret := make(certfleet.Secret, keySize)
	rand.Read(secret) // never fails
	return fromSecret(secret)
}

func fromSecret(secret certfleet.Secret) (*Key, error) {
	id, err := derive(secret, infoID, 8)
	if err != nil {
		return nil, err
	}
	sealing, err := derive(secret, infoSeal, keySize)
	if err != nil {
		return nil, err
	}
	defer clear(sealing)
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Key{secret: secret, id: hex.EncodeToString(id), aead: aead}, nil
}

// derive stretches the secret for one purpose (RFC 5869); it has full entropy,
// so it needs no salt.
func derive(secret certfleet.Secret, info string, size int) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, info, size)
}

// ID names the key without telling anything about it: 16 hex digits.
func (k *Key) ID() string { return k.id }

// String is the key's name, so that printing a Key is harmless.
func (k *Key) String() string { return "sealing key " + k.id }

// GoString is String, for %#v.
func (k *Key) GoString() string { return k.String() }

// Seal encrypts plain with AES-256-GCM, bound to aad.
func (k *Key) Seal(_ context.Context, plain, aad []byte) ([]byte, error) {
	return k.aead.Seal(nil, nil, plain, aad), nil
}

// Open is the inverse of Seal. It fails when sealed or aad is not what it was.
func (k *Key) Open(_ context.Context, sealed, aad []byte) ([]byte, error) {
	plain, err := k.aead.Open(nil, nil, sealed, aad)
	if err != nil {
		return nil, &certfleet.Error{Msg: "what is sealed under the sealing key " + k.id + " was changed since",
			Advice: "restore the database from a backup", Err: err}
	}
	return plain, nil
}
