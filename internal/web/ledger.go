package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/store"
)

// ledger is what the tenant may see of the limits.
type ledger struct {
	now         time.Time
	authorities []certfleet.Authority
	accounts    []certfleet.Account
	overrides   []store.LimitOverride
	labels      map[string]string // of accounts, by URL
	books       map[int64]*plan.Book
	names       map[string]string // labels of authorities, by what their limits are kept under
	rooms       map[string]int64
	all         bool // shared buckets too, which tell of other tenants' names
}

func (s *server) ledger(ctx context.Context, now time.Time) (*ledger, error) {
	l := &ledger{now: now, labels: map[string]string{}, books: map[int64]*plan.Book{}, names: map[string]string{}, all: tenant(ctx) == certfleet.DefaultTenant}
	var err error
	if l.authorities, err = s.DB.Authorities(ctx, tenant(ctx)); err != nil {
		return nil, err
	}
	if l.accounts, err = s.DB.Accounts(ctx, tenant(ctx)); err != nil {
		return nil, err
	}
	if l.overrides, err = s.DB.Overrides(ctx, tenant(ctx)); err != nil {
		return nil, err
	}
	var granted []plan.Override
	for _, o := range l.overrides {
		granted = append(granted, plan.Override{Authority: o.Authority, Account: o.Account, Domain: o.Domain, Limit: limitOf(store.Bucket{Name: o.Name, N: o.N, Period: o.Period, Burst: o.Burst})})
	}
	for _, a := range l.authorities {
		name := plan.BookName(a.Label, a.DirectoryURL)
		l.books[a.ID], l.names[name] = plan.NewBook(name, granted), a.Label
	}
	for _, a := range l.accounts {
		l.labels[plan.AccountName(a.URL, a.ID)] = a.Label
	}
	l.rooms, err = s.DB.Rooms(ctx)
	return l, err
}

// list is every account's bucket, and the emptiest of each other limit.
func (l *ledger) list(ctx context.Context, db *store.DB) ([]api.LimitBucket, error) {
	res, err := l.ofAccounts(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, name := range []plan.LimitName{plan.NewAccounts, plan.NewAccountsRange, plan.PerDomain, plan.PerSet, plan.FailedValidations, plan.ConsecutiveFailures} {
		rows, err := db.BucketsOf(ctx, string(name), bucketsShown)
		if err != nil {
			return nil, err
		}
		for _, b := range rows {
			if w, ok := l.bucket(b); ok {
				res = append(res, w)
			}
		}
	}
	return res, nil
}

// ofAccounts are the buckets of accounts' new orders, the full ones too.
func (l *ledger) ofAccounts(ctx context.Context, db *store.DB) ([]api.LimitBucket, error) {
	rows, err := db.BucketsOf(ctx, string(plan.NewOrders), 1000)
	if err != nil {
		return nil, err
	}
	by := map[string]store.Bucket{}
	for _, b := range rows {
		by[b.Key] = b
	}
	res, done := []api.LimitBucket{}, map[plan.Key]bool{}
	for _, a := range l.accounts {
		book := l.books[a.AuthorityID]
		if book == nil || a.URL == "" || a.State != certfleet.AccountValid {
			continue
		}
		for _, t := range book.Touches(plan.Asking{Account: a.URL}) {
			if t.Key.Limit != plan.NewOrders {
				continue
			}
			if done[t.Key] { // two accounts of ours may be one at the CA
				continue
			}
			done[t.Key] = true
			b := by[t.Key.String()]
			b.Key, b.Name, b.N, b.Period, b.Burst = t.Key.String(), string(t.Key.Limit), t.Limit.Count, t.Limit.Period, t.Limit.Burst
			if w, ok := l.bucket(b); ok {
				res = append(res, w)
			}
		}
	}
	return res, nil
}

// touched are the buckets that an order for the names touches at one of our
// authorities, as they stand.
func (l *ledger) touched(ctx context.Context, db *store.DB, names []certfleet.Name) ([]api.LimitBucket, error) {
	var keys []string
	as := map[string]plan.Limit{}
	for _, a := range l.accounts {
		book := l.books[a.AuthorityID]
		if book == nil || a.URL == "" || a.State != certfleet.AccountValid {
			continue
		}
		for _, t := range book.Touches(plan.Asking{Account: a.URL, Names: names}) {
			k := t.Key.String()
			if _, done := as[k]; !done {
				keys, as[k] = append(keys, k), t.Limit
			}
		}
	}
	rows, err := db.BucketsIn(ctx, keys)
	out := []api.LimitBucket{}
	for _, k := range keys {
		b, limit := rows[k], as[k]
		b.Key, b.Name, b.N, b.Period, b.Burst = k, string(limit.Name), limit.Count, limit.Period, limit.Burst
		if w, ok := l.bucket(b); ok {
			out = append(out, w)
		}
	}
	return out, err
}

// may reports whether the tenant may see what is kept under a key, and clear it.
func (l *ledger) may(key string) bool {
	k, ok := plan.ParseKey(key)
	if !ok {
		return slices.ContainsFunc(l.authorities, func(a certfleet.Authority) bool { return key == fmt.Sprintf("authority:%d", a.ID) })
	}
	_, ours := l.names[k.Authority]
	_, mine := l.labels[k.Account]
	return ours && (mine || l.all && k.Account == "")
}

func (l *ledger) bucket(b store.Bucket) (api.LimitBucket, bool) {
	if !l.may(b.Key) {
		return api.LimitBucket{}, false
	}
	k, _ := plan.ParseKey(b.Key)
	w := api.LimitBucket{Key: b.Key, Authority: l.names[k.Authority], Account: l.labels[k.Account], Limit: string(k.Limit), Subject: k.Subject,
		Left: plan.Left(plan.Bucket{TAT: b.FullAt, Held: b.Held}, limitOf(b), l.now), Most: cmp.Or(b.Burst, b.N), Count: b.N, Period: periodText(b.Period), Held: b.Held, Waiting: l.rooms[b.Key]}
	switch {
	case w.Waiting > 0:
		w.FreeAt = b.FreeAt
	case w.Left == 0:
		_, _, w.FreeAt = plan.Hold(plan.Bucket{TAT: b.FullAt, Held: b.Held}, limitOf(b), l.now, 1)
	}
	if b.FullAt.After(l.now) {
		w.FullAt = b.FullAt
	}
	return w, true
}

func (l *ledger) override(o store.LimitOverride) api.LimitOverride {
	return api.LimitOverride{Authority: cmp.Or(l.names[o.Authority], o.Authority), Account: cmp.Or(l.labels[o.Account], o.Account), Domain: o.Domain, Limit: o.Name,
		Count: o.N, Period: periodText(o.Period), Burst: o.Burst, Note: o.Note, CreatedAt: o.CreatedAt}
}

func limitOf(b store.Bucket) plan.Limit {
	return plan.Limit{Name: plan.LimitName(b.Name), Count: b.N, Period: b.Period, Burst: b.Burst}
}

// periodText is a period as a person writes it.
func periodText(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// concerns reports whether something that a CA told us to wait for is about the
// order.
func (l *ledger) concerns(p *store.PauseRow, o *certfleet.Order) bool {
	k, ok := plan.ParseKey(p.Key)
	if !ok {
		return p.Key == fmt.Sprintf("authority:%d", o.AuthorityID)
	}
	book := l.books[o.AuthorityID]
	if book == nil {
		return false
	}
	for _, a := range l.accounts {
		if a.ID == o.AccountID {
			return book.Stops(plan.Lesson{Key: k, Until: p.Until}, plan.Asking{Account: plan.AccountName(a.URL, a.ID), Names: o.Names}, l.now)
		}
	}
	return false
}

// limitLeft is one account's bucket as a metric, by numbers.
type limitLeft struct {
	authority, account, limit string
	left, most                int
}

// limitsLeft are the accounts' buckets, and how many certificates wait, by limit.
func (s *server) limitsLeft(ctx context.Context, now time.Time) ([]limitLeft, map[string]int64, error) {
	l, err := s.ledger(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	list, err := l.ofAccounts(ctx, s.DB)
	if err != nil {
		return nil, nil, err
	}
	var out []limitLeft
	for _, b := range list {
		k, _ := plan.ParseKey(b.Key)
		for _, a := range l.accounts {
			if a.URL == k.Account {
				out = append(out, limitLeft{strconv.FormatInt(a.AuthorityID, 10), strconv.FormatInt(a.ID, 10), b.Limit, b.Left, b.Most})
			}
		}
	}
	waiting := map[string]int64{}
	for key, n := range l.rooms {
		k, _ := plan.ParseKey(key)
		waiting[string(k.Limit)] += n
	}
	return out, waiting, nil
}
