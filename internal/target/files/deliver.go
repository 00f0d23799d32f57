package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/abreast"
)

// together is how many bundles wait for one barrier.
const together = 1000

// work is one bundle on its way to the disk.
type work struct {
	bundle  certfleet.Bundle
	content content
	golive  func() error // nil when it is there already
	receipt *certfleet.Receipt
}

func (w *work) fail(err error) { w.receipt.Applied, w.receipt.Err = false, explain(err) }

// Deliver writes each bundle that is not there yet and tells services if
// something changed. A bundle that cannot be written leaves the pair that is
// there as it is. First everything is made beside what is live, then it is made
// to last, then it goes live: so many bundles cost one barrier, not each its own.
func (t *Target) Deliver(ctx context.Context, bundles []certfleet.Bundle, _ []certfleet.Receipt) ([]certfleet.Receipt, error) {
	return t.deliver(ctx, bundles, check)
}

// DeliverChecked is Deliver of bundles whose caller has found that key and chain
// fit, put the chain in order and written both anew, as lineage.Join does: they
// are not parsed again.
func (t *Target) DeliverChecked(ctx context.Context, bundles []certfleet.Bundle) ([]certfleet.Receipt, error) {
	return t.deliver(ctx, bundles, checked)
}

func (t *Target) deliver(ctx context.Context, bundles []certfleet.Bundle, check func(certfleet.Bundle) (content, error)) ([]certfleet.Receipt, error) {
	r, err := t.open(ctx)
	if err != nil {
		return nil, explain(err)
	}
	defer r.close()
	r.disk.many(len(bundles) >= manyBundles)
	if err := errors.Join(r.begin(), t.marking(r)); err != nil {
		return nil, explain(err)
	}
	receipts, all := make([]certfleet.Receipt, len(bundles)), make([]*work, len(bundles))
	for i, b := range bundles {
		receipts[i] = certfleet.Receipt{Certificate: b.Certificate, Version: b.Version, Fingerprint: b.Fingerprint}
		all[i] = &work{bundle: b, receipt: &receipts[i]}
	}
	for _, part := range parts(all) {
		lanes := r.lanes(len(part))
		abreast.Do(len(part), len(lanes), func(lane, i int) {
			if err := t.prepare(ctx, lanes[lane], part[i], check); err != nil {
				part[i].fail(err)
			}
		})
		t.golive(r, part, len(lanes))
	}
	if t.marks() {
		t.update(ctx, r, r.changed(all))
	}
	return receipts, nil
}

// parts are what goes live together. Two versions of one certificate go live one
// after the other.
func parts(all []*work) (parts [][]*work) {
	from, seen := 0, map[string]bool{}
	for i, w := range all {
		if seen[w.bundle.Certificate] || i-from == together {
			parts = append(parts, all[from:i])
			from, seen = i, map[string]bool{}
		}
		seen[w.bundle.Certificate] = true
	}
	return append(parts, all[from:])
}

// lanes are views of the room in which n pieces are made side by side.
func (r *room) lanes(n int) []*room {
	lanes := make([]*room, abreast.Lanes(n, manyBundles))
	for i := range lanes {
		lanes[i] = &room{layout: r.in(i), disk: r.disk, base: r.base}
	}
	return lanes
}

func (t *Target) prepare(ctx context.Context, r *room, w *work, check func(certfleet.Bundle) (content, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := w.bundle
	c, err := check(b)
	if err != nil {
		return err
	}
	w.content = c
	h, err := r.read(c.name)
	if err != nil {
		return err
	}
	switch {
	case h != nil && h.problem == nil && maps.EqualFunc(h.files, r.wanted(c), bytes.Equal):
		if b.Again {
			if err := t.mark(r, c.label, c.name); err != nil {
				return err
			}
		}
		return r.tend(c, h)
	case h.outdates(c) && !b.Rollback:
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("version %d of %q is there, which is newer than %d", h.version, c.label, c.version), Advice: "deliver the newer version"}
	}
	if err := t.mark(r, c.label, c.name); err != nil {
		return err
	}
	w.golive, err = r.prepare(c, h)
	return err
}

// golive brings live what was prepared, once it lasts, each in the lane in which
// it was made.
func (t *Target) golive(r *room, part []*work, lanes int) {
	lasts := r.disk.barrier()
	abreast.Do(len(part), lanes, func(_, i int) {
		if w := part[i]; w.receipt.Err == nil {
			if err := w.bringLive(lasts); err != nil {
				w.fail(err)
			}
		}
	})
	lasts = r.disk.barrier()
	for _, w := range part {
		switch {
		case w.receipt.Err != nil:
		case lasts != nil:
			w.fail(lasts)
		default:
			w.receipt.Applied, w.receipt.Fingerprint = true, w.content.fingerprint
			if w.golive != nil {
				t.log.Info("certificate written", "certificate", w.content.label, "version", w.content.version)
			}
		}
	}
}

// bringLive brings live what lasts.
func (w *work) bringLive(lasts error) error {
	if lasts != nil || w.golive == nil {
		return lasts
	}
	return w.golive()
}

// changed is what services are to be told of.
func (r *room) changed(all []*work) (list []change) {
	for _, w := range all {
		if w.receipt.Err == nil && r.pending(w.content.name) {
			list = append(list, change{content: w.content, bundle: w.bundle, lineage: filepath.Join(r.base, r.lineage(w.content.name)), receipt: w.receipt})
		}
	}
	return list
}
