package redis

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/abreast"
	goredis "github.com/redis/go-redis/v9"
)

// verifyBatch is how many certificates share the round trips of a comparison.
const verifyBatch = 500

// Verify compares what Redis holds with what it should: fingerprints by label.
// differs is called for each that is missing, other or broken, in their order, and
// then for what is left of overtaken writes.
func (t *Target) Verify(ctx context.Context, want iter.Seq2[string, string], differs func(Difference)) (Progress, error) {
	db, err := t.open(ctx)
	if err != nil {
		return Progress{}, err
	}
	defer db.Close()
	v := verifying{Target: t, db: db, differs: differs, told: map[string]bool{}, began: time.Now()}
	batch := make([]Difference, 0, verifyBatch)
	for label, fingerprint := range want {
		if batch = append(batch, Difference{Certificate: label, Want: fingerprint}); len(batch) < verifyBatch {
			continue
		}
		if err := v.compare(ctx, batch); err != nil {
			return v.Progress, err
		}
		batch = batch[:0]
	}
	if err := v.compare(ctx, batch); err != nil {
		return v.Progress, err
	}
	return v.Progress, t.leftovers(ctx, db, v.left)
}

// left tells of leftovers, but not of certificates that differ anyway.
func (v *verifying) left(list []leftover) error {
	for _, l := range list {
		if !v.told[l.label] {
			v.Failed++
			v.differs(l.difference())
		}
	}
	return nil
}

type verifying struct {
	Progress
	*Target
	db      goredis.UniversalClient
	differs func(Difference)
	told    map[string]bool // labels that differ
	began   time.Time
}

// compare reads a batch and tells what differs. What was read before Redis stopped
// answering counts; the rest does not.
func (v *verifying) compare(ctx context.Context, batch []Difference) error {
	all := newTogether(v.db, len(batch))
	abreast.Do(len(batch), len(batch), func(_, i int) {
		defer all.leave(ctx)
		batch[i].Have, batch[i].Err = v.holds(ctx, all, batch[i].Certificate)
	})
	for _, d := range batch {
		if certfleet.KindOf(d.Err) == certfleet.Unreachable || ctx.Err() != nil {
			return errors.Join(d.Err, ctx.Err())
		}
		v.Certificates, v.After, v.Took = v.Certificates+1, d.Certificate, time.Since(v.began)
		if d.Err != nil || d.Have != d.Want {
			v.Failed++
			v.told[d.Certificate] = true
			v.differs(d)
		}
	}
	return nil
}
