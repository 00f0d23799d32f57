package redis

import (
	"context"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	goredis "github.com/redis/go-redis/v9"
)

// retract takes back what jobs wrote while another version of their certificate was
// claimed, as when a full write meets a delivery: that one could not know of it. What
// the record lists now stays.
func (t *Target) retract(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	for _, j := range jobs {
		j.staleItems, j.staleShared = lines(j.items()), lines(j.sharedKeys())
		if t.Cluster {
			j.err = t.spare(ctx, db, j)
		}
	}
	t.drop(ctx, db, jobs)
	for _, j := range jobs {
		if j.dropped = append(j.dropped, j.staleItems...); j.err == nil {
			j.err = &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("another version of %q came while version %d was written", j.label, j.version), Advice: "deliver the newer version"}
		}
	}
}

// spare leaves out what the record lists. In a cluster no script can look.
func (t *Target) spare(ctx context.Context, db goredis.UniversalClient, j *job) error {
	rec, err := t.record(ctx, db, j.label)
	if err != nil {
		return err
	}
	items, shared := lines(rec["items"]), lines(rec["shared"])
	j.staleItems = slices.DeleteFunc(j.staleItems, func(item string) bool { return slices.Contains(items, item) })
	j.staleShared = slices.DeleteFunc(j.staleShared, func(key string) bool { return slices.Contains(shared, key) })
	return nil
}

// withRecord hands the job's record to a script that spares what it lists; not in a
// cluster, and not when the certificate goes altogether.
func (t *Target) withRecord(j *job, keys ...string) []string {
	if t.Cluster || j.version == 0 {
		return keys
	}
	return append(keys, t.recordKey(j.label))
}
