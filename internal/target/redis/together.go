package redis

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// reads are the commands by which an edge's view of a certificate is read.
type reads interface {
	Get(ctx context.Context, key string) *goredis.StringCmd
	HGet(ctx context.Context, key, field string) *goredis.StringCmd
	HGetAll(ctx context.Context, key string) *goredis.MapStringStringCmd
	HMGet(ctx context.Context, key string, fields ...string) *goredis.SliceCmd
}

// together lets many readers share round trips: each asks one thing after the other
// as if it were alone, and when all of them wait, what they ask goes out as one.
type together struct {
	db goredis.UniversalClient

	mu      sync.Mutex
	readers int               // who have not left, guarded by mu
	waiting int               // of them, guarded by mu
	asked   goredis.Pipeliner // guarded by mu
	done    chan struct{}     // closed when what is asked was answered, guarded by mu
}

func newTogether(db goredis.UniversalClient, readers int) *together {
	return &together{db: db, readers: readers, asked: db.Pipeline(), done: make(chan struct{})}
}

// leave says that a reader asks nothing more.
func (t *together) leave(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers--
	t.send(ctx)
}

// send has the question of all answered when nobody is left who could add to it.
// The answer, or why there is none, is in each command. The caller holds mu: whoever
// could want it waits for done.
func (t *together) send(ctx context.Context) {
	if t.waiting == 0 || t.waiting < t.readers {
		return
	}
	t.asked.Exec(ctx)
	close(t.done)
	t.waiting, t.asked, t.done = 0, t.db.Pipeline(), make(chan struct{})
}

// ask queues a command and waits for its answer.
func ask[C goredis.Cmder](ctx context.Context, t *together, queue func(goredis.Pipeliner) C) C {
	t.mu.Lock()
	cmd, done := queue(t.asked), t.done
	t.waiting++
	t.send(ctx)
	t.mu.Unlock()
	<-done
	return cmd
}

func (t *together) Get(ctx context.Context, key string) *goredis.StringCmd {
	return ask(ctx, t, func(p goredis.Pipeliner) *goredis.StringCmd { return p.Get(ctx, key) })
}

func (t *together) HGet(ctx context.Context, key, field string) *goredis.StringCmd {
	return ask(ctx, t, func(p goredis.Pipeliner) *goredis.StringCmd { return p.HGet(ctx, key, field) })
}

func (t *together) HGetAll(ctx context.Context, key string) *goredis.MapStringStringCmd {
	return ask(ctx, t, func(p goredis.Pipeliner) *goredis.MapStringStringCmd { return p.HGetAll(ctx, key) })
}

func (t *together) HMGet(ctx context.Context, key string, fields ...string) *goredis.SliceCmd {
	return ask(ctx, t, func(p goredis.Pipeliner) *goredis.SliceCmd { return p.HMGet(ctx, key, fields...) })
}
