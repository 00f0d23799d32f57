package rfc2136

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/certfleet/certfleet"
	"github.com/miekg/dns"
)

// signer signs and checks messages with one TSIG secret (RFC 8945 section 5.1).
type signer certfleet.Secret

var hashes = map[string]func() hash.Hash{
	dns.HmacSHA1:   sha1.New,
	dns.HmacSHA224: sha256.New224,
	dns.HmacSHA256: sha256.New,
	dns.HmacSHA384: sha512.New384,
	dns.HmacSHA512: sha512.New,
}

// Generate is the MAC of a message.
func (s signer) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	h, ok := hashes[dns.CanonicalName(t.Algorithm)]
	if !ok {
		return nil, dns.ErrKeyAlg
	}
	mac := hmac.New(h, s)
	mac.Write(msg)
	return mac.Sum(nil), nil
}

// Verify checks the MAC of an answer.
func (s signer) Verify(msg []byte, t *dns.TSIG) error {
	want, err := s.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(want, got) {
		return dns.ErrSig
	}
	return nil
}

// refused explains the server's no.
func (s *Solver) refused(in *dns.Msg, at state) error {
	code := in.Rcode
	if t := in.IsTsig(); t != nil && t.Error != dns.RcodeSuccess {
		code = int(t.Error) // says more than NOTAUTH (RFC 8945 section 5.2)
	}
	word, ok := dns.RcodeToString[code]
	if !ok {
		word = fmt.Sprintf("RCODE%d", code)
	}
	return &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("server %s refused to update %s in zone %s: %s", s.config.Server, at.Record, at.Zone, word), Advice: advice(code)}
}

func advice(code int) string {
	switch code {
	case dns.RcodeBadKey:
		return "give the key by the name and algorithm under which the server knows it"
	case dns.RcodeBadSig:
		return "give the secret that the server has for this key"
	case dns.RcodeBadTime:
		return "set the clocks of this machine and of the server right"
	case dns.RcodeNotAuth:
		return "check that the server is primary for the zone and knows the key"
	case dns.RcodeRefused:
		return "allow this key to change TXT records at this name in the server's update policy"
	case dns.RcodeNotZone:
		return "leave zone empty, or give the zone that holds the record"
	}
	return "read the server's log for this update"
}
