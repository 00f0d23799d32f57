package redis

import (
	"context"
	"fmt"

	"github.com/certfleet/certfleet"
	goredis "github.com/redis/go-redis/v9"
)

// retract takes back what jobs wrote while another version of their certificate was
// claimed, as when a full write meets a delivery: that one could not know of it. What
// the record lists now stays.
func (t *Target) retract(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	for _, j := range jobs {
		j.staleItems, j.staleShared = lines(j.items()), lines(j.sharedKeys())
	}
	t.drop(ctx, db, jobs)
	for _, j := range jobs {
		if j.dropped = append(j.dropped, j.staleItems...); j.err == nil {
			j.err = &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("another version of %q came while version %d was written", j.label, j.version), Advice: "deliver the newer version"}
		}
	}
}

// withRecord hands a script what tells it what to spare: the job's record, or in a
// cluster the marks. When the certificate goes altogether, nothing is spared.
func (t *Target) withRecord(j *job, keys ...string) []string {
	if j.version == 0 {
		return keys
	}
	if t.Cluster {
		return t.withMarks(keys...)
	}
	return append(keys, t.recordKey(j.label))
}
