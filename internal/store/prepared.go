package store

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"sync"
)

// mostPrepared bounds how many statements are kept; the house has some two
// hundred query texts, filters make a few more.
const mostPrepared = 600

// preparer is what *sql.DB and *sql.Conn share.
type preparer interface {
	execer
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}

// prepared runs queries as statements that are parsed once: on SQLite parsing
// costs more than most of our queries do. (pgx keeps its own.)
type prepared struct {
	on preparer

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt // guarded by mu
}

func newPrepared(on preparer) *prepared { return &prepared{on: on, stmts: map[string]*sql.Stmt{}} }

// stmt is the statement for a text, nil when the cache is full.
func (p *prepared) stmt(ctx context.Context, q string) (*sql.Stmt, error) {
	p.mu.RLock()
	s, full := p.stmts[q], len(p.stmts) >= mostPrepared
	p.mu.RUnlock()
	if s != nil || full {
		return s, nil
	}
	// A statement outlives the call that made it.
	s, err := p.on.PrepareContext(context.WithoutCancel(ctx), steady(q))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other, ok := p.stmts[q]; ok {
		return other, s.Close()
	}
	p.stmts[q] = s
	return s, nil
}

// steady is q so that SQLite keeps what it has prepared: it plans a bare LIMIT $n
// for the number that is bound, and so parses the statement anew for each.
func steady(q string) string { return bareLimit.ReplaceAllString(q, "$0 + 0") }

var bareLimit = regexp.MustCompile(`LIMIT \$\d+`)

// ExecContext runs a statement that returns no rows.
func (p *prepared) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	s, err := p.stmt(ctx, q)
	if err != nil || s == nil {
		return p.on.ExecContext(ctx, q, args...)
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext runs a statement that returns rows.
func (p *prepared) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	s, err := p.stmt(ctx, q)
	if err != nil || s == nil {
		return p.on.QueryContext(ctx, q, args...)
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext runs a statement that returns one row.
func (p *prepared) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	s, err := p.stmt(ctx, q)
	if err != nil || s == nil {
		return p.on.QueryRowContext(ctx, q, args...)
	}
	return s.QueryRowContext(ctx, args...)
}

func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all error
	for _, s := range p.stmts {
		all = errors.Join(all, s.Close())
	}
	clear(p.stmts)
	return all
}
