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

func (f *fleet) writeBlocklist(ctx context.Context, tx *store.Tx) error {
	return each(f, "blocked", f.Blocklist, func(b api.Blocked) string { return b.Kind + " " + b.Pattern }, func(_ int, b api.Blocked) (*api.Change, error) {
		return f.writeBlocked(ctx, tx, b)
	})
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

func (f *fleet) writeOverrides(ctx context.Context, tx *store.Tx) error {
	return each(f, "override", f.LimitOverrides, func(o api.LimitOverride) string { return o.Authority + " " + o.Limit }, func(_ int, o api.LimitOverride) (*api.Change, error) {
		return f.writeOverride(ctx, tx, o)
	})
}
