package keeper

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"

	"github.com/certfleet/certfleet"
)

// Prefix begins the text form of every sealing key.
const Prefix = "certfleet-key-v1:"

// Text is the key as Parse reads it: certfleet-key-v1:ID:BASE64. The id tells
// people which key it is, and tells Parse that nothing was mistyped.
func (k *Key) Text() certfleet.Secret {
	b := append([]byte(Prefix), k.id...)
	b = append(b, ':')
	return base64.RawStdEncoding.AppendEncode(b, k.secret)
}

// Parse reads the text form. Empty lines and lines that begin with # are
// passed by; there must be exactly one other. No error repeats the text.
func Parse(text []byte) (*Key, error) {
	line, err := onlyLine(text)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(line, []byte(Prefix))
	id, encoded, found := bytes.Cut(rest, []byte(":"))
	if !ok || !found {
		return nil, notAKey("it does not begin with " + Prefix)
	}
	secret, err := base64.RawStdEncoding.Strict().DecodeString(string(encoded))
	if err != nil || len(secret) != keySize {
		return nil, notAKey("its last part is not 32 bytes in base64")
	}
	key, err := fromSecret(secret)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(key.id), id) != 1 {
		return nil, notAKey("the key does not belong to the id beside it")
	}
	return key, nil
}

func onlyLine(text []byte) ([]byte, error) {
	var only []byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if only != nil {
			return nil, notAKey("there is more than one key")
		}
		only = line
	}
	if only == nil {
		return nil, notAKey("it is empty")
	}
	return only, nil
}

func notAKey(why string) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: "this is not a sealing key: " + why,
		Advice: "give one whole line as certfleet init wrote it, " + Prefix + "ID:BASE64"}
}
