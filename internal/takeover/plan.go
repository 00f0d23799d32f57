package takeover

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/certfleet/certfleet"
)

// The nouns of a plan, in the order in which they are carried out. A name that is
// in several versions serves the one that came last: that for it alone.
const (
	Authority   = "authority"
	Account     = "account"
	Policy      = "policy"
	Default     = "default policy"
	Delegation  = "acme-dns account"
	Blocked     = "blocked name"
	Factory     = "factory"
	Certificate = "certificate"
	Version     = "version"
	Backup      = "backup version"
	Number      = "former numbers"
	Rest        = "other"
)

// nouns are all of them.
var nouns = []string{Authority, Account, Policy, Default, Delegation, Blocked, Factory, Certificate, Version, Backup, Number, Rest}

// State says what becomes of an item, or became of it.
type State string

// The states of an item: what is to be done, and what was.
const (
	Add   State = "add"
	There State = "there" // it is here already, and stays as it is
	Skip  State = "skip"

	Added  State = "added"
	Failed State = "failed"
)

// Item is one thing that the database holds.
type Item struct {
	Noun   string   `json:"noun"`
	ID     int64    `json:"peter_sslers_id,omitempty"`
	Label  string   `json:"label"`
	State  State    `json:"state"`
	Names  []string `json:"names,omitempty"`
	Policy string   `json:"policy,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Advice string   `json:"advice,omitempty"`
	Note   string   `json:"note,omitempty"` // what is not quite as it was there

	wave int
	act  func(context.Context) error
}

// Plan is all that the database holds, and what becomes of it.
type Plan struct {
	Path  string  `json:"path"`
	Items []*Item `json:"items"`

	reserve func(context.Context) error // what comes before all items
}

// Tally counts the items of one noun by their state.
type Tally struct {
	Noun   string `json:"noun"`
	Add    int    `json:"add"`
	Added  int    `json:"added,omitempty"`
	There  int    `json:"there"`
	Skip   int    `json:"skip"`
	Failed int    `json:"failed,omitempty"`
}

// Tallies counts all items, in the order in which they are carried out.
func (p *Plan) Tallies() []Tally {
	out := make([]Tally, len(nouns))
	for i, n := range nouns {
		out[i].Noun = n
	}
	for _, i := range p.Items {
		t := &out[slices.Index(nouns, i.Noun)]
		*map[State]*int{Add: &t.Add, There: &t.There, Skip: &t.Skip, Added: &t.Added, Failed: &t.Failed}[i.State]++
	}
	return slices.DeleteFunc(out, func(t Tally) bool { return t == Tally{Noun: t.Noun} })
}

// Count is how many items are in a state.
func (p *Plan) Count(s State) (n int) {
	for _, i := range p.Items {
		if i.State == s {
			n++
		}
	}
	return n
}

// order brings the items into the order in which they are carried out.
func (p *Plan) order() {
	slices.SortStableFunc(p.Items, func(a, b *Item) int {
		return cmp.Or(cmp.Compare(slices.Index(nouns, a.Noun), slices.Index(nouns, b.Noun)), cmp.Compare(a.wave, b.wave))
	})
}

// atOnce is how many items of a noun are carried out side by side, where their
// order among each other does not matter.
const atOnce = 8

// Carry adds what is to be added and tells of each item. One that goes wrong stops
// no other; what cannot go on at all, such as a manager that does not answer, is an
// error.
func (p *Plan) Carry(ctx context.Context, each func(*Item)) error {
	if p.reserve != nil && p.Count(Add) > 0 {
		if err := p.reserve(ctx); err != nil {
			return err
		}
	}
	for start := 0; start < len(p.Items) && ctx.Err() == nil; {
		end := start + 1
		for end < len(p.Items) && p.Items[end].Noun == p.Items[start].Noun && p.Items[end].wave == p.Items[start].wave {
			end++
		}
		if err := carry(ctx, p.Items[start:end], each); err != nil {
			return err
		}
		start = end
	}
	if p.Count(Add) == 0 {
		return nil
	}
	return ctx.Err() // who ends the run between two items is told that it ended
}

func carry(ctx context.Context, items []*Item, each func(*Item)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	if n := items[0].Noun; n == Account || n == Authority || n == Delegation {
		g.SetLimit(1) // the first account of a CA is the one that orders go by
	}
	var telling sync.Mutex
	for _, i := range items {
		if i.State != Add {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := i.carry(ctx); err != nil {
				return err
			}
			telling.Lock()
			defer telling.Unlock()
			each(i)
			return nil
		})
	}
	return g.Wait()
}

// carry adds an item; an error is what no item can go on after.
func (i *Item) carry(ctx context.Context) error {
	err := i.act(ctx)
	switch kind := certfleet.KindOf(err); {
	case err == nil:
		i.State = Added
	case ctx.Err() != nil:
		return ctx.Err()
	case kind == certfleet.Unreachable, kind == certfleet.Denied:
		return err
	default:
		i.State, i.Reason, i.Advice = Failed, err.Error(), certfleet.AdviceOf(err)
	}
	return nil
}
