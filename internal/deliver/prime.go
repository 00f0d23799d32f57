package deliver

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// page is how many deliveries of a whole target are read at a time.
const page = 500

// primer builds the plugin of a target that can be written whole.
func (r *Room) primer(stored *certfleet.StoredTarget) (certfleet.Primer, error) {
	target, err := r.Target(stored)
	if err != nil {
		return nil, err
	}
	p, ok := target.(certfleet.Primer)
	if !ok {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("target %s is of type %s, which is not written whole", stored.Label, stored.Type),
			Advice: "deliver to it again: certfleet targets deliver " + stored.Label + " --force"}
	}
	return p, nil
}

// Prime writes everything that a target should hold, whatever it holds. report
// hears after each batch, and of each certificate that could not be written. An
// interrupted one goes on where it was.
func (r *Room) Prime(ctx context.Context, stored *certfleet.StoredTarget, report func(certfleet.Progress, []certfleet.Receipt)) (certfleet.Progress, error) {
	p, err := r.primer(stored)
	if err != nil {
		return certfleet.Progress{}, err
	}
	unopened := 0
	cannot := func(rc certfleet.Receipt) {
		unopened++
		report(certfleet.Progress{}, []certfleet.Receipt{rc})
	}
	got, err := p.Prime(ctx, func(after string) iter.Seq2[certfleet.Bundle, error] { return r.bundlesFor(ctx, stored, after, cannot) }, report)
	got.Failed += unopened
	return got, err
}

// Verify compares what a target holds with what it should. differs hears of each
// certificate that is missing, other or broken; looked, how many were looked at.
func (r *Room) Verify(ctx context.Context, stored *certfleet.StoredTarget, looked func(n int), differs func(certfleet.Difference)) (certfleet.Progress, error) {
	p, err := r.primer(stored)
	if err != nil {
		return certfleet.Progress{}, err
	}
	var broke error
	got, err := p.Verify(ctx, func(yield func(label, fingerprint string) bool) { broke = r.fingerprints(ctx, stored, looked, yield) }, differs)
	if err == nil {
		err = broke
	}
	return got, err
}

// fingerprints yields what should be at a target, by label.
func (r *Room) fingerprints(ctx context.Context, stored *certfleet.StoredTarget, looked func(n int), yield func(label, fingerprint string) bool) error {
	n := 0
	for list, err := range r.pages(ctx, stored.ID, 0) {
		if err != nil {
			return err
		}
		labels, err := r.DB.CertificateLabels(ctx, certificatesOf(list))
		if err != nil {
			return err
		}
		versions := make([]int64, len(list))
		for i, d := range list {
			versions[i] = d.VersionID
		}
		have, err := r.DB.VersionsByID(ctx, versions)
		if err != nil {
			return err
		}
		for _, d := range list {
			if v := have[d.VersionID]; v != nil && !yield(labels[d.CertificateID], v.Fingerprint) {
				return nil
			}
		}
		n += len(list)
		looked(n)
	}
	return nil
}

// pages are the deliveries that a target should hold, after a certificate.
func (r *Room) pages(ctx context.Context, target, after int64) iter.Seq2[[]certfleet.Delivery, error] {
	return func(yield func([]certfleet.Delivery, error) bool) {
		for {
			list, err := r.DB.HoldsAt(ctx, target, after, page)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(list) == 0 || !yield(list, nil) {
				return
			}
			after = list[len(list)-1].CertificateID
		}
	}
}

func certificatesOf(list []certfleet.Delivery) []int64 {
	ids := make([]int64, len(list))
	for i, d := range list {
		ids[i] = d.CertificateID
	}
	return ids
}

// bundlesFor yields the bundles of a target, opened, after the certificate with a
// label. Those that cannot be opened are told and left out.
func (r *Room) bundlesFor(ctx context.Context, stored *certfleet.StoredTarget, after string, cannot func(certfleet.Receipt)) iter.Seq2[certfleet.Bundle, error] {
	return func(yield func(certfleet.Bundle, error) bool) {
		from, err := r.certificateAfter(ctx, stored.Tenant, after)
		if err != nil {
			yield(certfleet.Bundle{}, err)
			return
		}
		for list, err := range r.pages(ctx, stored.ID, from) {
			if err != nil {
				yield(certfleet.Bundle{}, err)
				return
			}
			if !r.yieldPage(ctx, list, cannot, yield) {
				return
			}
		}
	}
}

// certificateAfter is where an interrupted write goes on; one whose certificate is
// gone begins anew.
func (r *Room) certificateAfter(ctx context.Context, tenant int64, label string) (int64, error) {
	if label == "" {
		return 0, nil
	}
	c, err := r.DB.CertificateByLabel(ctx, tenant, label)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return c.ID, nil
}

func (r *Room) yieldPage(ctx context.Context, list []certfleet.Delivery, cannot func(certfleet.Receipt), yield func(certfleet.Bundle, error) bool) bool {
	got, err := r.openPage(ctx, list)
	if err != nil {
		return yield(certfleet.Bundle{}, err)
	}
	for i, o := range got {
		if o.err != nil {
			cannot(certfleet.Receipt{Certificate: o.label, Version: list[i].VersionID, Err: o.err})
			continue
		}
		if !yield(*o.bundle, nil) {
			for _, rest := range got[i+1:] {
				rest.wipe()
			}
			return false
		}
	}
	return true
}

// openPage opens a page of bundles; the openings are on record before any of them
// leaves.
func (r *Room) openPage(ctx context.Context, list []certfleet.Delivery) ([]opened, error) {
	all := make([]*certfleet.Delivery, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	got, err := r.open(ctx, all)
	if err != nil {
		return nil, err
	}
	if err := r.record(ctx, got, "prime"); err != nil {
		for _, o := range got {
			o.wipe()
		}
		return nil, err
	}
	return got, nil
}

// record puts the opening of keys on record.
func (r *Room) record(ctx context.Context, got []opened, reason string) error {
	var keys []int64
	for _, o := range got {
		if o.err == nil {
			keys = append(keys, o.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return r.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.KeysOpened(ctx, keys, reason) })
}
