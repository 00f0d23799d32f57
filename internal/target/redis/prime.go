package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/certfleet/certfleet"
	goredis "github.com/redis/go-redis/v9"
)

// primeBatch is how many bundles share the round trips of a full write.
const primeBatch = 500

// cursorTTL is how long an interrupted full write can be resumed.
const cursorTTL = 24 * time.Hour

// The words of a full write and a comparison, from the root.
type (
	Progress   = certfleet.Progress
	Difference = certfleet.Difference
)

// Prime writes everything that from yields, in order of labels, in pipelines.
// from is called with the label to go on after: empty, or where an earlier call
// was interrupted within a day. report, which may be nil, is called after each
// batch, with the receipts that failed in it. What is left of overtaken writes goes,
// and the edges are told once, at the end.
func (t *Target) Prime(ctx context.Context, from func(after string) iter.Seq2[certfleet.Bundle, error], report func(Progress, []certfleet.Receipt)) (Progress, error) {
	db, err := t.open(ctx)
	if err != nil {
		return Progress{}, err
	}
	defer db.Close()
	after, err := db.Get(ctx, t.cursorKey()).Result()
	if err != nil && !errors.Is(err, goredis.Nil) {
		return Progress{}, t.explain(err)
	}
	// From here on edges take a missing name for one that is not written yet.
	if err := db.Set(ctx, t.cursorKey(), after, cursorTTL).Err(); err != nil {
		return Progress{}, t.explain(err)
	}
	p := priming{Target: t, db: db, report: report, began: time.Now(), Progress: Progress{After: after}}
	if err := p.all(ctx, from(after)); err != nil {
		return p.Progress, err
	}
	if err := t.sweep(ctx, db); err != nil {
		return p.Progress, err
	}
	if err := db.Del(ctx, t.cursorKey()).Err(); err != nil {
		return p.Progress, t.explain(err)
	}
	return p.Progress, t.announceAll(ctx, db)
}

func (t *Target) cursorKey() string { return t.Prefix + "certfleet:prime" }

type priming struct {
	Progress
	*Target
	db     goredis.UniversalClient
	report func(Progress, []certfleet.Receipt)
	began  time.Time
}

func (p *priming) all(ctx context.Context, bundles iter.Seq2[certfleet.Bundle, error]) error {
	batch := make([]certfleet.Bundle, 0, primeBatch)
	for b, err := range bundles {
		if err != nil {
			return errors.Join(err, p.flush(ctx, batch))
		}
		if batch = append(batch, b); len(batch) == primeBatch {
			if err := p.flush(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return p.flush(ctx, batch)
}

// flush writes a batch and notes how far that is. A bundle that is refused is
// reported and passed by; a Redis that does not answer ends it.
func (p *priming) flush(ctx context.Context, batch []certfleet.Bundle) error {
	if len(batch) == 0 {
		return nil
	}
	receipts, _ := p.write(ctx, p.db, batch)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("prime Redis: %w", err)
	}
	var failed []certfleet.Receipt
	for i, r := range receipts {
		switch kind := certfleet.KindOf(r.Err); {
		case r.Err == nil, kind == certfleet.Conflict: // a newer one is there, which is well
			p.Names += len(batch[i].Names)
		case kind == certfleet.Unreachable || kind == certfleet.Limited:
			return r.Err
		default:
			failed = append(failed, r)
		}
		batch[i].KeyPEM.Wipe()
	}
	p.Certificates, p.Failed, p.Took = p.Certificates+len(batch), p.Failed+len(failed), time.Since(p.began)
	p.After = batch[len(batch)-1].Certificate
	if err := p.db.Set(ctx, p.cursorKey(), p.After, cursorTTL).Err(); err != nil {
		return p.explain(err)
	}
	if p.report != nil {
		p.report(p.Progress, failed)
	}
	return nil
}

// announceAll has every edge look at everything anew.
func (t *Target) announceAll(ctx context.Context, db goredis.UniversalClient) error {
	if err := t.publish(ctx, db, []string{"*"}); err != nil {
		return err
	}
	if len(t.edges) == 0 {
		return nil
	}
	var problems []error
	for _, r := range t.Expire(ctx, make([]string, oneByOne+1)) { // more than singly
		problems = append(problems, r.Err)
	}
	return errors.Join(problems...)
}
