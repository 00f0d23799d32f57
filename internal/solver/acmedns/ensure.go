package acmedns

import (
	"context"
	"fmt"
	"sync"

	"github.com/certfleet/certfleet"
	"github.com/miekg/dns"
)

// atOnce is how many names are worked on side by side.
const atOnce = 8

// Row is one name and the CNAME that its owner has to set.
type Row struct {
	Name   string `json:"name"`
	Record string `json:"record"` // with a trailing dot
	Target string `json:"target"` // with a trailing dot; empty without an account
	New    bool   `json:"new,omitempty"`
	Err    error  `json:"-"` // why this name has no account
}

func newRow(name certfleet.Name, c Credential) Row {
	r := Row{Name: name.Base(), Record: recordOf(name)}
	if c.FullDomain != "" {
		r.Target = dns.CanonicalName(c.FullDomain)
	}
	return r
}

func recordOf(name certfleet.Name) string { return certfleet.Challenge{Name: name}.DNSName() }

// Ensure gives each name an account, registering those that have none, and
// answers in the order of names; a wildcard shares its parent's row. One name's
// failure is in its row and stops no other.
func (s *Solver) Ensure(ctx context.Context, names []certfleet.Name) []Row {
	return each(names, func(name certfleet.Name) Row { return s.ensure(ctx, name) })
}

func (s *Solver) ensure(ctx context.Context, name certfleet.Name) Row {
	have, ok, err := s.accounts.Get(ctx, name)
	if err != nil {
		return failed(name, fmt.Errorf("open the acme-dns account of %s: %w", name, err))
	}
	if ok {
		return newRow(name, have)
	}
	made, err := s.Register(ctx)
	if err != nil {
		return failed(name, err)
	}
	if err := s.accounts.Put(ctx, name, made); err != nil {
		return failed(name, fmt.Errorf("keep the acme-dns account of %s: %w", name, err))
	}
	row := newRow(name, made)
	row.New = true
	return row
}

func failed(name certfleet.Name, err error) Row {
	row := newRow(name, Credential{})
	row.Err = err
	return row
}

// Rows are the names' CNAMEs as far as they have accounts, for an export.
func (s *Solver) Rows(ctx context.Context, names []certfleet.Name) ([]Row, error) {
	var rows []Row
	for _, name := range unique(names) {
		have, ok, err := s.accounts.Get(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("open the acme-dns account of %s: %w", name, err)
		}
		if ok {
			rows = append(rows, newRow(name, have))
		}
	}
	return rows, nil
}

// each works on every distinct base name, a few at once, and keeps their order.
func each[T any](names []certfleet.Name, work func(certfleet.Name) T) []T {
	names = unique(names)
	out := make([]T, len(names))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out[i] = work(name)
		})
	}
	wg.Wait()
	return out
}

func unique(names []certfleet.Name) []certfleet.Name {
	var out []certfleet.Name
	seen := map[certfleet.Name]bool{}
	for _, n := range names {
		b, err := base(n)
		if err == nil && !seen[b] && !b.IsIP() {
			seen[b] = true
			out = append(out, b)
		}
	}
	return out
}
