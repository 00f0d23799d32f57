package files

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/certfleet/certfleet"
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
	r, err := t.open(ctx)
	if err != nil {
		return nil, explain(err)
	}
	defer r.close()
	receipts := make([]certfleet.Receipt, len(bundles))
	all := make([]*work, len(bundles))
	r.disk.many(len(bundles) >= manyBundles)
	from, seen := 0, map[string]bool{}
	for i, b := range bundles {
		if seen[b.Certificate] || i-from == together {
			t.golive(r, all[from:i]) // two versions of one certificate go live one after the other
			from, seen = i, map[string]bool{}
		}
		seen[b.Certificate] = true
		receipts[i] = certfleet.Receipt{Certificate: b.Certificate, Version: b.Version, Fingerprint: b.Fingerprint}
		all[i] = &work{bundle: b, receipt: &receipts[i]}
		if err := t.prepare(ctx, r, all[i]); err != nil {
			all[i].fail(err)
		}
	}
	t.golive(r, all[from:])
	t.update(ctx, r, r.changed(all))
	return receipts, nil
}

func (t *Target) prepare(ctx context.Context, r *room, w *work) error {
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

// golive brings live what was prepared, once it lasts.
func (t *Target) golive(r *room, all []*work) {
	lasts := r.disk.barrier()
	for _, w := range all {
		switch {
		case w.receipt.Err != nil:
		case lasts != nil:
			w.fail(lasts)
		case w.golive == nil:
			w.applied()
		default:
			if err := w.golive(); err != nil {
				w.fail(err)
				continue
			}
			w.applied()
			t.log.Info("certificate written", "certificate", w.content.label, "version", w.content.version)
		}
	}
	if err := r.disk.barrier(); err != nil {
		for _, w := range all {
			if w.receipt.Err == nil {
				w.fail(err)
			}
		}
	}
}

func (w *work) applied() { w.receipt.Applied, w.receipt.Fingerprint = true, w.content.fingerprint }

// changed is what services are to be told of.
func (r *room) changed(all []*work) (list []change) {
	for _, w := range all {
		if w.receipt.Err == nil && r.pending(w.content.name) {
			list = append(list, change{content: w.content, bundle: w.bundle, lineage: filepath.Join(r.base, r.lineage(w.content.name)), receipt: w.receipt})
		}
	}
	return list
}
