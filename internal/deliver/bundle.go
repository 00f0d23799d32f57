package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/certfleet/certfleet"
	"golang.org/x/sync/errgroup"
)

// opened is a bundle, or why there is none.
type opened struct {
	label  string
	bundle *certfleet.Bundle
	key    int64
	err    error
}

func (o opened) wipe() {
	if o.bundle != nil {
		o.bundle.KeyPEM.Wipe()
	}
}

// open makes the bundles of deliveries, in their order; whoever calls it puts the
// opening of the keys on record.
func (r *Room) open(ctx context.Context, list []*certfleet.Delivery) ([]opened, error) {
	s, err := r.shelf(ctx, list)
	if err != nil {
		return nil, err
	}
	got := make([]opened, len(list))
	group, opening := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, d := range list {
		group.Go(func() error {
			got[i] = r.bundle(opening, s, d)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		for _, o := range got {
			o.wipe()
		}
		return nil, err
	}
	return got, nil
}

// shelf is what the bundles of some deliveries are made of.
type shelf struct {
	versions    map[int64]*certfleet.Version
	keys        map[int64]*certfleet.Key
	generations map[int64]int64  // of versions that have another than their id
	labels      map[int64]string // of certificates
}

func (r *Room) shelf(ctx context.Context, list []*certfleet.Delivery) (s shelf, err error) {
	var certificates, versions, keys []int64
	for _, d := range list {
		certificates, versions = append(certificates, d.CertificateID), append(versions, d.VersionID)
	}
	if s.labels, err = r.DB.CertificateLabels(ctx, certificates); err != nil {
		return s, err
	}
	if s.versions, err = r.DB.VersionsByID(ctx, versions); err != nil {
		return s, err
	}
	for _, v := range s.versions {
		if v.KeyID != 0 {
			keys = append(keys, v.KeyID)
		}
	}
	if s.keys, err = r.DB.KeysByID(ctx, keys); err != nil {
		return s, err
	}
	s.generations, err = r.DB.Generations(ctx, versions)
	return s, err
}

func (r *Room) bundle(ctx context.Context, s shelf, d *certfleet.Delivery) (o opened) {
	o.label = s.labels[d.CertificateID]
	v := s.versions[d.VersionID]
	if v == nil || v.KeyID == 0 || s.keys[v.KeyID] == nil {
		o.err = &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the key of version %d is not here", d.VersionID), Advice: "import the key, or renew the certificate with a key of our own"}
		return o
	}
	var pem certfleet.Secret
	if pem, o.err = r.Keys.OpenPEM(ctx, s.keys[v.KeyID]); o.err != nil {
		return o
	}
	o.key = v.KeyID
	o.bundle = &certfleet.Bundle{Certificate: o.label, Version: max(s.generations[v.ID], v.ID), Names: v.Names, ChainPEM: v.ChainPEM, KeyPEM: pem, Fingerprint: v.Fingerprint, NotAfter: v.NotAfter,
		Rollback: d.Rollback, Again: !d.SentAt.IsZero()}
	return o
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
	last, err := r.DB.LastReceipt(ctx, c.ID, target)
	if err == nil {
		if rc := r.openReceipt(ctx, last, c.Label); rc != nil {
			return *rc
		}
	}
	return certfleet.Receipt{Certificate: c.Label}
}

// receiptsBefore are the last receipts that the target gave for certificates.
// Without them a target works too, only less well, so their loss stops nothing.
func (r *Room) receiptsBefore(ctx context.Context, going []*cargo, target int64) (out []certfleet.Receipt) {
	var certificates []int64
	for _, c := range going {
		certificates = append(certificates, c.d.CertificateID)
	}
	last, err := r.DB.LastReceipts(ctx, certificates, target)
	if err != nil {
		return nil
	}
	for _, c := range going {
		if d := last[c.d.CertificateID]; d != nil {
			if rc := r.openReceipt(ctx, d, c.bundle.Certificate); rc != nil {
				out = append(out, *rc)
			}
		}
	}
	return out
}

// openReceipt is nil for a receipt that cannot be read.
func (r *Room) openReceipt(ctx context.Context, d *certfleet.Delivery, certificate string) *certfleet.Receipt {
	text, err := r.Keys.Open(ctx, d.Receipt, receiptAAD(d))
	if err != nil {
		return nil
	}
	var rc receipt
	if json.Unmarshal(text, &rc) != nil {
		return nil
	}
	return &certfleet.Receipt{Certificate: certificate, Version: rc.Version, Fingerprint: rc.Fingerprint, State: rc.State, Applied: rc.Applied}
}
