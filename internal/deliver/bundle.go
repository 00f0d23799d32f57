package deliver

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/certfleet/certfleet"
)

// bundle opens what is delivered; whoever calls it puts the opening of the key on
// record.
func (r *Room) bundle(ctx context.Context, d *certfleet.Delivery) (b *certfleet.Bundle, keyID int64, err error) {
	v, err := r.DB.Version(ctx, d.VersionID)
	if err != nil {
		return nil, 0, err
	}
	cert, err := r.DB.Certificate(ctx, d.CertificateID)
	if err != nil {
		return nil, 0, err
	}
	if v.KeyID == 0 {
		return nil, 0, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the key of version %d is not here", v.ID), Advice: "import the key, or renew the certificate with a key of our own"}
	}
	key, err := r.DB.Key(ctx, v.KeyID)
	if err != nil {
		return nil, 0, err
	}
	generation, err := r.DB.Generation(ctx, v.ID)
	if err != nil {
		return nil, 0, err
	}
	pem, err := r.Keys.OpenPEM(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	return &certfleet.Bundle{Certificate: cert.Label, Version: generation, Names: v.Names, ChainPEM: v.ChainPEM, KeyPEM: pem, Fingerprint: v.Fingerprint, NotAfter: v.NotAfter,
		Rollback: d.Rollback, Again: !d.SentAt.IsZero()}, key.ID, nil
}

// receipt is a Receipt as it is sealed on the delivery's row.
type receipt struct {
	Version     int64  `json:"version"`
	Fingerprint string `json:"fingerprint"`
	State       []byte `json:"state,omitempty"`
	Applied     bool   `json:"applied,omitempty"`
}

func receiptText(rc certfleet.Receipt) []byte {
	b, _ := json.Marshal(receipt{rc.Version, rc.Fingerprint, rc.State, rc.Applied}) // plain fields always marshal
	return b
}

func receiptAAD(d *certfleet.Delivery) string {
	return fmt.Sprintf("receipt:%d:%d", d.VersionID, d.TargetID)
}

// LastReceipt is what the target said last about a certificate; the zero Receipt
// when it said nothing.
func (r *Room) LastReceipt(ctx context.Context, c *certfleet.Certificate, target int64) certfleet.Receipt {
	d := &certfleet.Delivery{CertificateID: c.ID, TargetID: target}
	if rc := r.receiptBefore(ctx, d, c.Label); rc != nil {
		return *rc
	}
	return certfleet.Receipt{Certificate: c.Label}
}

// receiptBefore is the last receipt that the target gave for the certificate.
// Without it a target works too, only less well, so its loss stops nothing.
func (r *Room) receiptBefore(ctx context.Context, d *certfleet.Delivery, certificate string) *certfleet.Receipt {
	last, err := r.DB.LastReceipt(ctx, d.CertificateID, d.TargetID)
	if err != nil {
		return nil
	}
	text, err := r.Keys.Open(ctx, last.Receipt, receiptAAD(last))
	if err != nil {
		return nil
	}
	var rc receipt
	if json.Unmarshal(text, &rc) != nil {
		return nil
	}
	return &certfleet.Receipt{Certificate: certificate, Version: rc.Version, Fingerprint: rc.Fingerprint, State: rc.State, Applied: rc.Applied}
}
