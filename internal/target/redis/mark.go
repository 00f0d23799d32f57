package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// In a cluster a certificate's record lies in another slot than what it lists, so no
// script sees both. What is to go is marked beside itself first; then the record is
// read, and what it lists is spared; then what still has its mark goes. A delivery
// claims its record before it writes, and takes the mark away with each write: so
// either the record that is read lists what it writes, or the mark is gone.

// markTTL is how long a mark counts; what goes later than that stays.
const markTTL = time.Minute

// marksKey is where what is to go of a key is marked, in the key's slot.
func (t *Target) marksKey(key string) string { return t.Prefix + "certfleet:going:{" + key + "}" }

// sharedMark and nameMark are the fields of a mark: a certificate as the user of a
// shared value, and as the owner of a pair.
func sharedMark(label string) string     { return label }
func nameMark(pair, label string) string { return pair + " " + label }

// marked is a mark of a job that has some, else empty.
func (j *job) marked(mark string) string {
	if j.token == "" {
		return ""
	}
	return mark
}

// withMarks hands a script the marks of its first key, in a cluster.
func (t *Target) withMarks(keys ...string) []string {
	if !t.Cluster {
		return keys
	}
	return append(keys, t.marksKey(keys[0]))
}

// mark marks what jobs are to take away, but not where a certificate goes altogether.
func (t *Target) mark(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	p := db.Pipeline()
	put := func(j *job, key, mark string) {
		p.HSet(ctx, t.marksKey(key), mark, j.token)
		p.Expire(ctx, t.marksKey(key), markTTL)
	}
	for _, j := range jobs {
		if j.err != nil || j.version == 0 {
			continue
		}
		j.token = rand.Text()
		for _, item := range j.staleItems {
			key, pair := splitItem(item)
			put(j, key, nameMark(pair, j.label))
		}
		for _, key := range j.staleShared {
			put(j, key, sharedMark(j.label))
		}
	}
	if p.Len() > 0 {
		_, _ = p.Exec(ctx) // what has no mark stays
	}
}

// spare leaves out what the records list.
func (t *Target) spare(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	p, records := db.Pipeline(), make([]*goredis.SliceCmd, len(jobs))
	for i, j := range jobs {
		if j.token != "" && len(j.staleItems)+len(j.staleShared) > 0 {
			records[i] = p.HMGet(ctx, t.recordKey(j.label), "items", "shared")
		}
	}
	if p.Len() > 0 {
		_, _ = p.Exec(ctx) // each command has its own error
	}
	for i, j := range jobs {
		if records[i] == nil {
			continue
		}
		rec, err := records[i].Result()
		if err != nil {
			j.err = err
			continue
		}
		j.staleItems, j.staleShared = unlistedIn(rec[0], j.staleItems), unlistedIn(rec[1], j.staleShared)
	}
}

// unlistedIn are those of a list that a field of a record does not list.
func unlistedIn(field any, list []string) []string {
	if field == nil {
		return list
	}
	listed := lines(fmt.Sprint(field))
	return slices.DeleteFunc(slices.Clone(list), func(what string) bool { return slices.Contains(listed, what) })
}
