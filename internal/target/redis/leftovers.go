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
		return t.judgeUsers(ctx, db, keys, found)
	})
	if err != nil {
		return err
	}
	owners := t.ownerKey(t.Prefix + fmt.Sprintf("d%d:", t.Layout))
	return t.pages(ctx, db, strings.TrimSuffix(owners, "}"), func(keys []string) error {
		return t.judgeOwners(ctx, db, keys, found)
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

// firstUsers is how many users of each shared value are asked for together; most have
// one, but a chain has as many as there are certificates.
const firstUsers = 100

// judgeUsers finds leftovers among the users of a page of shared values.
func (t *Target) judgeUsers(ctx context.Context, db goredis.UniversalClient, keys []string, found func([]leftover) error) error {
	p, first := db.Pipeline(), make([]*goredis.ScanCmd, len(keys))
	for i, key := range keys {
		first[i] = p.SScan(ctx, key, 0, "", firstUsers)
	}
	if _, err := p.Exec(ctx); err != nil && len(keys) > 0 {
		return t.explain(err)
	}
	var list []leftover
	for i, key := range keys {
		labels, _ := first[i].Val()
		list = append(list, t.usersOf(key, labels)...)
	}
	if err := t.judge(ctx, db, list, found, "shared", "stale_shared"); err != nil {
		return err
	}
	for i, key := range keys {
		_, cursor := first[i].Val()
		if err := t.judgeMore(ctx, db, key, cursor, found); err != nil {
			return err
		}
	}
	return nil
}

// judgeMore goes on with the users of one value.
func (t *Target) judgeMore(ctx context.Context, db goredis.UniversalClient, key string, cursor uint64, found func([]leftover) error) error {
	for cursor != 0 {
		labels, next, err := db.SScan(ctx, key, cursor, "", scanPage).Result()
		if err != nil {
			return t.explain(err)
		}
		if err := t.judge(ctx, db, t.usersOf(key, labels), found, "shared", "stale_shared"); err != nil {
			return err
		}
		cursor = next
	}
	return nil
}

// usersOf are certificates that use the value of a key of users.
func (t *Target) usersOf(key string, labels []string) []leftover {
	list := make([]leftover, len(labels))
	value := strings.TrimSuffix(strings.TrimPrefix(key, t.Prefix+"certfleet:users:{"), "}")
	for i, label := range labels {
		list[i] = leftover{label: label, key: value}
	}
	return list
}

// judgeOwners finds leftovers among the pairs of a page of names.
func (t *Target) judgeOwners(ctx context.Context, db goredis.UniversalClient, keys []string, found func([]leftover) error) error {
	p, owners := db.Pipeline(), make([]*goredis.SliceCmd, len(keys))
	for i, key := range keys {
		owners[i] = p.HMGet(ctx, key, "o"+firstPair, "o"+rsaPair)
	}
	if _, err := p.Exec(ctx); err != nil && len(keys) > 0 {
		return t.explain(err)
	}
	var list []leftover
	for i, key := range keys {
		list = append(list, t.pairsOf(key, owners[i].Val())...)
	}
	return t.judge(ctx, db, list, found, "items", "stale_items")
}

// pairsOf are the pairs of a name that have an owner.
func (t *Target) pairsOf(key string, owners []any) (list []leftover) {
	name := key
	if t.Layout != 3 {
		name = strings.TrimSuffix(strings.TrimPrefix(key, t.Prefix+"certfleet:owner:{"), "}")
	}
	for i, pair := range []string{firstPair, rsaPair} {
		if len(owners) == 2 && owners[i] != nil {
			list = append(list, leftover{label: fmt.Sprint(owners[i]), key: name, item: name + " " + pair})
		}
	}
	return list
}

// judge finds those of a list that no field of their certificate's record lists, in
// pieces that one question may ask about.
func (t *Target) judge(ctx context.Context, db goredis.UniversalClient, list []leftover, found func([]leftover) error, fields ...string) error {
	for some := range slices.Chunk(list, scanPage) {
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
