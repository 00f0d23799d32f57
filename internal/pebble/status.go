package pebble

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	pebble "github.com/letsencrypt/pebble/v2/core"
)

// SetRenewalInfo makes the CA suggest this window for a certificate it issued
// (RFC 9773 section 4.2).
func (k *core) SetRenewalInfo(leaf *x509.Certificate, start, end time.Time, explanationURL string) error {
	type window struct {
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	}
	b, err := json.Marshal(struct {
		Window      window `json:"suggestedWindow"`
		Explanation string `json:"explanationURL,omitempty"`
	}{window{start.UTC(), end.UTC()}, explanationURL})
	if err != nil {
		return fmt.Errorf("set renewal information: %w", err)
	}
	return k.SetRenewalAnswer(leaf, string(b))
}

// SetRenewalAnswer makes the CA answer with exactly this text, sound or not.
func (k *core) SetRenewalAnswer(leaf *x509.Certificate, body string) error {
	if err := k.mem.SetARIResponse(leaf.SerialNumber, body); err != nil {
		return fmt.Errorf("set renewal information: %w", err)
	}
	return nil
}

// Revoke marks a certificate as revoked, as a CA does that finds its own fault.
func (k *core) Revoke(leaf *x509.Certificate, reason uint) error {
	c := k.mem.GetCertificateBySerial(leaf.SerialNumber)
	if c == nil {
		return fmt.Errorf("revoke a certificate: serial %x was not issued here", leaf.SerialNumber)
	}
	k.mem.RevokeCertificate(&pebble.RevokedCertificate{Certificate: c, RevokedAt: time.Now(), Reason: &reason})
	return nil
}

// Revoked reports whether a certificate was revoked here.
func (k *core) Revoked(leaf *x509.Certificate) bool {
	return k.mem.GetRevokedCertificateBySerial(leaf.SerialNumber) != nil
}
