package issue

import (
	"context"
	"sync"
	"time"

	"github.com/certfleet/certfleet/internal/plan"
)

// bookAge is how long an authority's book is believed before its overrides are
// read again.
const bookAge = 5 * time.Second

// books are the limits of authorities, by authority id.
type books struct {
	mu   sync.Mutex
	read map[int64]book // guarded by mu
}

type book struct {
	*plan.Book
	name string
	at   time.Time
}

func (b *books) forget(authority int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.read, authority)
}

// book is what an authority allows, with the overrides of its tenant.
func (r *Room) book(ctx context.Context, authority int64) (book, error) {
	r.books.mu.Lock()
	defer r.books.mu.Unlock()
	if b, ok := r.books.read[authority]; ok && time.Since(b.at) < bookAge {
		return b, nil
	}
	a, err := r.DB.Authority(ctx, authority)
	if err != nil {
		return book{}, err
	}
	rows, err := r.DB.Overrides(ctx, a.Tenant)
	if err != nil {
		return book{}, err
	}
	var overrides []plan.Override
	for _, o := range rows {
		overrides = append(overrides, plan.Override{Authority: o.Authority, Account: o.Account, Domain: o.Domain,
			Limit: plan.Limit{Name: plan.LimitName(o.Name), Count: o.N, Period: o.Period, Burst: o.Burst}})
	}
	name := plan.BookName(a.Label, a.DirectoryURL)
	b := book{plan.NewBook(name, overrides), name, time.Now()}
	if r.books.read == nil {
		r.books.read = map[int64]book{}
	}
	r.books.read[authority] = b
	return b, nil
}
