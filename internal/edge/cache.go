package edge

import (
	"container/list"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
)

// entryKey is one question.
type entryKey struct {
	tenant int64
	name   string
	kind   Kind
}

// entry is what was found; a nil pair stands for nothing.
type entry struct {
	pair *Pair
	at   time.Time
}

// answer is what the one who asked for n is given.
func (e entry) answer(n certfleet.Name) (*Pair, error) {
	if e.pair == nil {
		return nil, notFound(n)
	}
	return e.pair, nil
}

// cache remembers the last pairs, the last names that a wildcard covers and the last
// misses, each within its bound. Anybody can ask for any name below a wildcard, so
// these have their own place, and share what was opened once.
type cache struct {
	mu      sync.Mutex
	pairs   lru // guarded by mu
	covered lru // guarded by mu
	misses  lru // guarded by mu
}

func newCache(pairs, misses int) *cache {
	return &cache{pairs: newLRU(pairs), covered: newLRU(pairs), misses: newLRU(misses)}
}

func (c *cache) get(k entryKey) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range []*lru{&c.pairs, &c.covered, &c.misses} {
		if e, ok := l.get(k); ok {
			return e, true
		}
	}
	return entry{}, false
}

func (c *cache) put(k entryKey, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := &c.pairs
	switch {
	case e.pair == nil:
		to = &c.misses
	case e.pair.covered():
		to = &c.covered
	}
	for _, l := range []*lru{&c.pairs, &c.covered, &c.misses} {
		if l != to {
			l.remove(k)
		}
	}
	to.put(k, e)
}

// lru forgets what was not asked for the longest.
type lru struct {
	most  int
	order *list.List // of node, the latest first
	at    map[entryKey]*list.Element
}

type node struct {
	key   entryKey
	value entry
}

func newLRU(most int) lru {
	return lru{most: most, order: list.New(), at: map[entryKey]*list.Element{}}
}

func (l *lru) get(k entryKey) (entry, bool) {
	at, ok := l.at[k]
	if !ok {
		return entry{}, false
	}
	l.order.MoveToFront(at)
	return at.Value.(*node).value, true
}

func (l *lru) put(k entryKey, e entry) {
	if at, ok := l.at[k]; ok {
		at.Value.(*node).value = e
		l.order.MoveToFront(at)
		return
	}
	l.at[k] = l.order.PushFront(&node{k, e})
	if l.order.Len() > l.most {
		l.remove(l.order.Back().Value.(*node).key)
	}
}

func (l *lru) remove(k entryKey) {
	if at, ok := l.at[k]; ok {
		l.order.Remove(at)
		delete(l.at, k)
	}
}
