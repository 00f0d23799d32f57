package web

import (
	"context"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
)

// The bounds of following events.
const (
	mostListeners = 256
	tailPage      = 200                    // events read at a time
	tailEvery     = 500 * time.Millisecond // between two looks when nothing wakes the tail
	tailBehind    = 16                     // batches that a listener may be behind
)

// batch is what came between two looks of a tail.
type batch struct {
	from, to store.EventCursor
	events   []certfleet.Event
}

// tails are one reader of events a tenant, for all who listen. One runs only
// while somebody does.
type tails struct {
	db *store.DB

	mu  sync.Mutex
	all map[int64]*tail // by tenant, guarded by mu
	n   int             // listeners, guarded by mu
}

type tail struct {
	stop  context.CancelFunc
	feeds map[chan batch]bool // guarded by tails.mu
}

// join gives a feed of batches from now on. It is closed when the listener is
// too far behind. leave must be called.
//
// Where the tail begins is read before the listener catches up, so nothing can
// fall between the two.
func (t *tails) join(ctx context.Context, tenant int64) (feed <-chan batch, leave func(), err error) {
	at, err := t.db.LastEvent(ctx)
	if err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n >= mostListeners {
		return nil, nil, &certfleet.Error{Kind: certfleet.Limited, Msg: "too many streams are open on this server", Advice: "close some, or ask again later", Retry: time.Now().Add(time.Minute)}
	}
	if t.all == nil {
		t.all = map[int64]*tail{}
	}
	one := t.all[tenant]
	if one == nil {
		ctx, stop := context.WithCancel(context.Background())
		one = &tail{stop: stop, feeds: map[chan batch]bool{}}
		t.all[tenant] = one
		go t.run(ctx, tenant, one, at) // ends when the last listener leaves
	}
	c := make(chan batch, tailBehind)
	one.feeds[c], t.n = true, t.n+1
	return c, sync.OnceFunc(func() { t.leave(tenant, one, c) }), nil
}

func (t *tails) leave(tenant int64, one *tail, c chan batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	delete(one.feeds, c)
	if len(one.feeds) == 0 && t.all[tenant] == one {
		one.stop()
		delete(t.all, tenant)
	}
}

// run looks for new events until nobody listens.
func (t *tails) run(ctx context.Context, tenant int64, one *tail, at store.EventCursor) {
	wakes, quiet := t.db.Wakes()
	defer quiet()
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wakes:
		case <-tick.C:
		}
		at = t.look(ctx, tenant, one, at)
	}
}

// look hands out what came since at; a store that does not answer is asked again.
func (t *tails) look(ctx context.Context, tenant int64, one *tail, at store.EventCursor) store.EventCursor {
	for {
		list, err := t.db.EventsAfter(ctx, tenant, at, tailPage)
		if err != nil || len(list) == 0 {
			return at
		}
		last := list[len(list)-1]
		b := batch{from: at, to: store.EventCursor{Xact: last.Xact, ID: last.ID}, events: list}
		t.hand(one, b)
		at = b.to
	}
}

// hand gives a batch to every listener and drops those that are too far behind.
func (t *tails) hand(one *tail, b batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range one.feeds {
		select {
		case c <- b:
		default:
			delete(one.feeds, c)
			close(c)
		}
	}
}
