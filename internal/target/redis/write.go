package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	goredis "github.com/redis/go-redis/v9"
)

// job is one bundle on its way through the phases.
type job struct {
	content
	receipt     *certfleet.Receipt
	staleItems  []string // of earlier versions
	staleShared []string
	dropped     []string // items that this version no longer has
	overtaken   bool     // another version was claimed before this one was whole
	token       string   // of its marks; empty where there are none
	err         error
}

// run takes all jobs through each phase in one round trip: claim the record,
// write what is shared, write the names, drop what is stale, close the record. A
// crash in between leaves the record open, and the next delivery goes on from it.
func (t *Target) run(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	t.claim(ctx, db, jobs)
	t.finish(ctx, db, jobs)
}

// finish goes on with jobs whose record is claimed.
func (t *Target) finish(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	t.share(ctx, db, jobs)
	t.name(ctx, db, jobs)
	for _, j := range jobs {
		j.dropped = t.without(j.staleItems, j.named)
		j.staleItems = j.dropped
		j.staleShared = slices.DeleteFunc(j.staleShared, func(k string) bool {
			return slices.ContainsFunc(j.shared, func(s sharedValue) bool { return s.key == k })
		})
	}
	t.drop(ctx, db, jobs)
	phase(ctx, db, jobs, func(p goredis.Pipeliner, j *job) []*goredis.Cmd {
		return []*goredis.Cmd{settleRecord.EvalSha(ctx, p, []string{t.recordKey(j.label)}, j.version, j.fingerprint)}
	}, func(j *job, got []*goredis.Cmd) error {
		settled, err := got[0].Int()
		j.overtaken = err == nil && settled == 0
		return err
	})
	t.retract(ctx, db, slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !j.overtaken }))
}

// phase queues the commands of every job that is well so far, sends them
// together, and hands back what came.
func phase(ctx context.Context, db goredis.UniversalClient, jobs []*job, queue func(goredis.Pipeliner, *job) []*goredis.Cmd, took func(*job, []*goredis.Cmd) error) {
	p := db.Pipeline()
	queued := make([][]*goredis.Cmd, len(jobs))
	for i, j := range jobs {
		if j.err == nil {
			queued[i] = queue(p, j)
		}
	}
	if p.Len() == 0 {
		return
	}
	p.Exec(ctx) // each command has its own error
	for i, j := range jobs {
		for _, cmd := range queued[i] {
			if err := cmd.Err(); err != nil && j.err == nil {
				j.err = err
			}
		}
		if j.err == nil && took != nil && len(queued[i]) > 0 {
			j.err = took(j, queued[i])
		}
	}
}

func (t *Target) claim(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	phase(ctx, db, jobs, func(p goredis.Pipeliner, j *job) []*goredis.Cmd {
		return []*goredis.Cmd{claim.EvalSha(ctx, p, []string{t.recordKey(j.label)}, j.version, j.items(), j.sharedKeys(), j.back)}
	}, func(j *job, got []*goredis.Cmd) error {
		answer, err := got[0].StringSlice()
		if err != nil || len(answer) != 3 {
			return fmt.Errorf("claim %s: %w", j.label, err)
		}
		if have := version(answer[0]); have > j.version && j.back == 0 {
			return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("version %d of %q is there, which is newer than %d", have, j.label, j.version), Advice: "deliver the newer version"}
		}
		j.staleItems, j.staleShared = lines(answer[1]), lines(answer[2])
		return nil
	})
}

func (t *Target) share(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	phase(ctx, db, jobs, func(p goredis.Pipeliner, j *job) (cmds []*goredis.Cmd) {
		for _, s := range j.shared {
			cmds = append(cmds, share.EvalSha(ctx, p, t.withMarks(s.key, t.usersKey(s.key)), s.value, s.until, j.label, sharedMark(j.label)))
		}
		return cmds
	}, nil)
}

func (t *Target) name(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	phase(ctx, db, jobs, func(p goredis.Pipeliner, j *job) (cmds []*goredis.Cmd) {
		for _, n := range j.named {
			args := []any{n.pair, j.version, j.label, n.until, j.back, nameMark(n.pair, j.label)}
			for _, f := range n.fields {
				args = append(args, f)
			}
			cmds = append(cmds, putName.EvalSha(ctx, p, t.withMarks(n.key, t.ownerKey(n.key)), args...))
		}
		return cmds
	}, func(j *job, got []*goredis.Cmd) error {
		for i, cmd := range got {
			if have, _ := cmd.Text(); version(have) > j.version {
				t.log.Info("name is another certificate's", "certificate", j.label, "version", j.version, "name", j.names[i], "newer", have)
			}
		}
		return nil
	})
}

// without leaves out the items that the new version has too.
func (t *Target) without(items []string, named []namedValue) []string {
	keep := map[string]bool{}
	for _, n := range named {
		keep[n.item()] = true
	}
	return slices.DeleteFunc(slices.Clone(items), func(item string) bool { return keep[item] })
}

// drop takes away what is stale, but not what a certificate's record lists by now:
// names first, so that none refers to nothing.
func (t *Target) drop(ctx context.Context, db goredis.UniversalClient, jobs []*job) {
	if t.Cluster {
		t.mark(ctx, db, jobs)
		t.spare(ctx, db, jobs)
	}
	phase(ctx, db, jobs, func(p goredis.Pipeliner, j *job) (cmds []*goredis.Cmd) {
		for _, item := range j.staleItems {
			key, pair := splitItem(item)
			cmds = append(cmds, dropName.EvalSha(ctx, p, t.withRecord(j, key, t.ownerKey(key)), pair, j.label, j.marked(nameMark(pair, j.label)), j.token))
		}
		return cmds
	}, nil)
	phase(ctx, db, jobs, func(p goredis.Pipeliner, j *job) (cmds []*goredis.Cmd) {
		for _, key := range j.staleShared {
			cmds = append(cmds, unshare.EvalSha(ctx, p, t.withRecord(j, key, t.usersKey(key)), j.label, j.marked(sharedMark(j.label)), j.token))
		}
		return cmds
	}, nil)
}

func splitItem(item string) (key, pair string) {
	key, pair, _ = strings.Cut(item, " ")
	return key, pair
}
