package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
)

// applied are the schema steps that a database says were applied to it.
type applied struct {
	steps  map[int]appliedStep
	hashed bool // it notes hashes
}

type appliedStep struct {
	step
	madeBy string
}

// applied reads the steps; one that has none is no database of ours yet.
func (d *DB) applied(ctx context.Context) (applied, error) {
	has, err := readApplied(ctx, d.r)
	if err == nil || !noTable(err) {
		return has, err
	}
	return readUnhashed(ctx, d.r)
}

func readApplied(ctx context.Context, x execer) (applied, error) {
	has, err := read(ctx, x, "SELECT n, name, oldest, made_by, hash FROM schema_step")
	has.hashed = true
	return has, err
}

// readUnhashed reads what a release wrote that noted no hashes.
func readUnhashed(ctx context.Context, x execer) (applied, error) {
	has, err := read(ctx, x, "SELECT n, name, oldest, made_by, '' FROM schema_step")
	if err != nil && noTable(err) {
		return applied{}, nil
	}
	return has, err
}

func read(ctx context.Context, x execer, query string) (applied, error) {
	has := applied{steps: map[int]appliedStep{}}
	rows, err := x.QueryContext(ctx, query)
	if err != nil {
		return has, err
	}
	defer rows.Close()
	for rows.Next() {
		var s appliedStep
		if err := rows.Scan(&s.n, &s.name, &s.oldest, &s.madeBy, &s.hash); err != nil {
			return has, err
		}
		has.steps[s.n] = s
	}
	return has, rows.Err()
}

// noTable reports that the table of steps, or its column, is not there.
func noTable(err error) bool {
	return slices.ContainsFunc([]string{"no such table", "no such column", "42P01", "42703"}, func(s string) bool { return strings.Contains(err.Error(), s) })
}

// missing are the steps of ours that were not applied, in order.
func (a applied) missing(ours []step) (out []step) {
	for _, s := range ours {
		if _, ok := a.steps[s.n]; !ok {
			out = append(out, s)
		}
	}
	return out
}

// lack reports whether anything is left to be done for this release.
func (a applied) lack(ours []step) bool {
	if !a.hashed || len(a.missing(ours)) > 0 {
		return true
	}
	return slices.ContainsFunc(ours, func(s step) bool { return a.steps[s.n].hash == "" })
}

// fit refuses a database that this release must not use: one with a step that
// asks for a newer one, or with a step of ours that was another file then.
func (a applied) fit(ours []step) error {
	known := ours[len(ours)-1].n
	for _, s := range a.steps {
		if s.oldest > known {
			by := a.newest().madeBy
			return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("the database was made by release %s, which this one (%s) cannot read", by, certfleet.Release),
				Advice: "install release " + by + " or newer"}
		}
	}
	for _, s := range ours {
		was, ok := a.steps[s.n]
		if ok && was.hash != "" && was.hash != s.hash {
			return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("schema step %s was applied by release %s from another file than this release (%s) has", was.name, was.madeBy, certfleet.Release),
				Advice: "install release " + was.madeBy + ", or an unchanged build of a newer one", Err: fmt.Errorf("applied %s, this release %s", was.hash, s.hash)}
		}
	}
	return nil
}

// newest is the applied step with the highest number.
func (a applied) newest() (out appliedStep) {
	for _, s := range a.steps {
		if s.n > out.n {
			out = s
		}
	}
	return out
}

// stranger is an applied step that is none of ours, if there is one.
func (a applied) stranger(ours []step) (appliedStep, bool) {
	for _, s := range a.steps {
		if !slices.ContainsFunc(ours, func(o step) bool { return o.n == s.n }) {
			return s, true
		}
	}
	return appliedStep{}, false
}
