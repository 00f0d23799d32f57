package intake

import (
	"context"

	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// each writes the objects of one list of a declaration.
func each[T any](f *fleet, kind string, list []T, label func(T) string, put func(int, T) (*api.Change, error)) error {
	for i, v := range list {
		ch, err := put(i, v)
		if err := f.note(kind, label(v), ch, err); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) writeDefaults(ctx context.Context, tx *store.Tx) error {
	return each(f, "default", f.Defaults, func(d api.DefaultPolicy) string { return d.Purpose }, func(_ int, d api.DefaultPolicy) (*api.Change, error) {
		return f.setDefault(ctx, tx, d)
	})
}

func (f *fleet) writeFactories(ctx context.Context, tx *store.Tx) error {
	return each(f, "factory", f.Factories, func(x api.Factory) string { return x.Label }, func(i int, x api.Factory) (*api.Change, error) {
		is, err := tx.FactoryByLabel(ctx, f.tenant(), x.Label)
		if x, err = ifThere(f.given, "factories", i, x, is, err, api.OfFactory); err != nil {
			return nil, err
		}
		_, ch, err := f.putFactory(ctx, tx, x, Ensure)
		return ch, err
	})
}

// writeBlocklist makes the blocklist what is declared, if one is: entries are not
// named by labels, so the list itself is what is declared.
func (f *fleet) writeBlocklist(ctx context.Context, tx *store.Tx) error {
	err := each(f, "blocked", f.Blocklist, func(b api.Blocked) string { return b.Kind + " " + b.Pattern }, func(_ int, b api.Blocked) (*api.Change, error) {
		return f.writeBlocked(ctx, tx, b)
	})
	if err != nil || f.Blocklist == nil {
		return err
	}
	return f.unblockOthers(ctx, tx)
}

// unblockOthers takes off the blocklist what is not declared.
func (f *fleet) unblockOthers(ctx context.Context, tx *store.Tx) error {
	declared := map[string]bool{}
	for _, b := range f.Blocklist {
		row, err := f.blockedRow(b.Kind, b.Pattern)
		if err != nil {
			return err
		}
		declared[row.Kind+" "+row.Pattern] = true
	}
	all, err := tx.Blocklist(ctx, f.tenant())
	if err != nil {
		return err
	}
	for _, is := range all {
		label := is.Kind + " " + is.Pattern
		if declared[label] {
			continue
		}
		if err := f.note("blocked", label, removed("blocked", label), tx.Unblock(ctx, is)); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) writeBlocked(ctx context.Context, tx *store.Tx, n api.Blocked) (*api.Change, error) {
	want, err := f.blockedRow(n.Kind, n.Pattern)
	if err != nil {
		return nil, err
	}
	want.Note = n.Note
	all, err := tx.Blocklist(ctx, f.tenant())
	if err != nil {
		return nil, err
	}
	ch := created("blocked", want.Kind+" "+want.Pattern)
	for _, is := range all {
		switch {
		case is.Kind != want.Kind || is.Pattern != want.Pattern:
		case is.Note == want.Note:
			return nil, nil
		default:
			ch.Action, ch.Fields = "update", []api.FieldChange{{Field: "note", From: is.Note, To: want.Note}}
		}
	}
	return ch, tx.Block(ctx, want)
}

// writeOverrides makes the overrides those that are declared, if any are: they are
// not named by labels either.
func (f *fleet) writeOverrides(ctx context.Context, tx *store.Tx) error {
	err := each(f, "override", f.LimitOverrides, func(o api.LimitOverride) string { return o.Authority + " " + o.Limit }, func(_ int, o api.LimitOverride) (*api.Change, error) {
		return f.writeOverride(ctx, tx, o)
	})
	if err != nil || f.LimitOverrides == nil {
		return err
	}
	return f.removeOtherOverrides(ctx, tx)
}

func (f *fleet) removeOtherOverrides(ctx context.Context, tx *store.Tx) error {
	of := func(o store.LimitOverride) [4]string { return [4]string{o.Authority, o.Account, o.Domain, o.Name} }
	declared := map[[4]string]bool{}
	for _, n := range f.LimitOverrides {
		row, err := f.OverrideRow(ctx, tx.Q, n)
		if err != nil {
			return err
		}
		declared[of(row)] = true
	}
	all, err := tx.Overrides(ctx, f.tenant())
	if err != nil {
		return err
	}
	for _, is := range all {
		if declared[of(is)] {
			continue
		}
		label := is.Authority + " " + is.Name
		if err := f.note("override", label, removed("override", label), tx.RemoveOverride(ctx, is)); err != nil {
			return err
		}
	}
	return nil
}
