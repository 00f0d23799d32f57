package demand

import (
	"container/list"
	"fmt"
	"sync"
	"time"
)

// seat is one name of one tenant.
type seat struct {
	tenant int64
	name   string
}

// String is the seat as one word.
func (s seat) String() string { return fmt.Sprint(s.tenant, " ", s.name) }

// denials remembers what said no, within a bound: the oldest go first.
type denials struct {
	mu    sync.Mutex
	most  int
	order *list.List             // of *denial, the oldest first, guarded by mu
	at    map[seat]*list.Element // guarded by mu
}

// denial is a no: an error, or a certificate that could not be had.
type denial struct {
	seat  seat
	got   Got
	err   error
	until time.Time
}

func newDenials(most int) *denials {
	return &denials{most: most, order: list.New(), at: map[seat]*list.Element{}}
}

func (d *denials) get(s seat, now time.Time) *denial {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.at[s]
	if !ok {
		return nil
	}
	if v := e.Value.(*denial); now.Before(v.until) {
		return v
	}
	d.drop(e)
	return nil
}

func (d *denials) put(v denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.at[v.seat]; ok {
		d.drop(e)
	}
	d.at[v.seat] = d.order.PushBack(&v)
	if d.order.Len() > d.most {
		d.drop(d.order.Front())
	}
}

func (d *denials) drop(e *list.Element) {
	d.order.Remove(e)
	delete(d.at, e.Value.(*denial).seat)
}
