package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/certfleet/certfleet"
	goredis "github.com/redis/go-redis/v9"
)

// scanPage is how many keys are looked at in one round trip.
const scanPage = 1000

// leftover is an entry of ours that its certificate's record does not list: of a
// write that was overtaken, and ended before it could take it back.
type leftover struct {
	label string
	item  string // of a name; empty for a shared value
	key   string
}

func (l leftover) difference() Difference {
	return Difference{Certificate: l.label, Err: &certfleet.Error{Kind: certfleet.Conflict,
		Msg: l.key + " is left of another version", Advice: "prime the target, which takes it away"}}
}

// leftovers finds all of them. What a delivery writes meanwhile is none: its record
// lists everything beforehand.
func (t *Target) leftovers(ctx context.Context, db goredis.UniversalClient, found func([]leftover) error) error {
	users := t.Prefix + "certfleet:users:{"
	err := t.pages(ctx, db, users, func(keys []string) error {
		return t.judge(ctx, db, keys, found, t.userOf(users), "shared", "stale_shared")
	})
	if err != nil {
		return err
	}
	owners := t.ownerKey(t.Prefix + fmt.Sprintf("d%d:", t.Layout))
	return t.pages(ctx, db, strings.TrimSuffix(owners, "}"), func(keys []string) error {
		return t.judge(ctx, db, keys, found, t.ownerOf, "items", "stale_items")
	})
}

// pages calls each with the keys that begin with a text, on every primary.
func (t *Target) pages(ctx context.Context, db goredis.UniversalClient, begin string, each func([]string) error) error {
	scan := func(ctx context.Context, c goredis.UniversalClient) error {
		for cursor := uint64(0); ; {
			keys, next, err := c.Scan(ctx, cursor, escapeGlob.Replace(begin)+"*", scanPage).Result()
			if err != nil {
				return t.explain(err)
			}
			if err := each(keys); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if c, ok := db.(*goredis.ClusterClient); ok {
		var mu sync.Mutex // one primary at a time
		return c.ForEachMaster(ctx, func(ctx context.Context, n *goredis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			return scan(ctx, n)
		})
	}
	return scan(ctx, db)
}

var escapeGlob = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)

// asking is a question about one key, and what its answer says: whose entries it has.
type asking func(ctx context.Context, p goredis.Pipeliner, key string) func() []leftover

// userOf asks which certificates use a shared value.
func (t *Target) userOf(begin string) asking {
	return func(ctx context.Context, p goredis.Pipeliner, key string) func() []leftover {
		cmd, value := p.SMembers(ctx, key), strings.TrimSuffix(strings.TrimPrefix(key, begin), "}")
		return func() (list []leftover) {
			for _, label := range cmd.Val() {
				list = append(list, leftover{label: label, key: value})
			}
			return list
		}
	}
}

// ownerOf asks whose the pairs of a name are.
func (t *Target) ownerOf(ctx context.Context, p goredis.Pipeliner, key string) func() []leftover {
	name := key
	if t.Layout != 3 {
		name = strings.TrimSuffix(strings.TrimPrefix(key, t.Prefix+"certfleet:owner:{"), "}")
	}
	cmd := p.HMGet(ctx, key, "o"+firstPair, "o"+rsaPair)
	return func() (list []leftover) {
		for i, pair := range []string{firstPair, rsaPair} {
			if got := cmd.Val(); len(got) == 2 && got[i] != nil {
				list = append(list, leftover{label: fmt.Sprint(got[i]), key: name, item: name + " " + pair})
			}
		}
		return list
	}
}

// judge finds those of a page that no field of their certificate's record lists.
func (t *Target) judge(ctx context.Context, db goredis.UniversalClient, keys []string, found func([]leftover) error, ask asking, fields ...string) error {
	var answers []func() []leftover
	p := db.Pipeline()
	for _, key := range keys {
		answers = append(answers, ask(ctx, p, key))
	}
	if _, err := p.Exec(ctx); err != nil && len(keys) > 0 {
		return t.explain(err)
	}
	var list []leftover
	for _, answer := range answers {
		list = append(list, answer()...)
	}
	for some := range slices.Chunk(list, scanPage) { // a chain has as many users as there are certificates
		if err := t.unlisted(ctx, db, some, found, fields); err != nil {
			return err
		}
	}
	return nil
}

// unlisted finds those of a list that no field of their certificate's record lists.
func (t *Target) unlisted(ctx context.Context, db goredis.UniversalClient, list []leftover, found func([]leftover) error, fields []string) error {
	p, records := db.Pipeline(), make([]*goredis.SliceCmd, len(list))
	for i, l := range list {
		records[i] = p.HMGet(ctx, t.recordKey(l.label), fields...)
	}
	if _, err := p.Exec(ctx); err != nil {
		return t.explain(err)
	}
	var left []leftover
	for i, l := range list {
		if !lists(records[i].Val(), l) {
			left = append(left, l)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return found(left)
}

func lists(fields []any, l leftover) bool {
	what := l.key
	if l.item != "" {
		what = l.item
	}
	return slices.ContainsFunc(fields, func(f any) bool { return f != nil && slices.Contains(lines(fmt.Sprint(f)), what) })
}

// sweep takes all leftovers away, and has the edges look at their names anew.
func (t *Target) sweep(ctx context.Context, db goredis.UniversalClient) error {
	return t.leftovers(ctx, db, func(list []leftover) error {
		jobs := make([]*job, len(list))
		for i, l := range list {
			jobs[i] = &job{content: content{label: l.label, version: -1}}
			if l.item == "" {
				jobs[i].staleShared = []string{l.key}
			} else {
				jobs[i].staleItems = []string{l.item}
			}
		}
		t.drop(ctx, db, jobs)
		for _, j := range jobs {
			if j.err != nil {
				return t.explain(j.err)
			}
		}
		return nil
	})
}
