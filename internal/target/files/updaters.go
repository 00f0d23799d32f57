package files

import (
	"context"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/updater"
)

// tells reports whether a service depends on the certificate.
func (t *Target) tells(label string) bool {
	return slices.ContainsFunc(t.items, func(it updater.Item) bool { return it.Concerns(label) })
}

// tell runs the updaters for what changed and whose command went well. A
// certificate is settled when all services that depend on it were told.
func (t *Target) tell(ctx context.Context, r *room, changed []change) {
	changed = slices.DeleteFunc(slices.Clone(changed), func(c change) bool { return c.receipt.Err != nil || !t.tells(c.label) })
	if len(changed) == 0 {
		return
	}
	bundles := make([]certfleet.Bundle, len(changed))
	for i, c := range changed {
		bundles[i] = c.bundle
		bundles[i].Path = c.lineage
	}
	results := updater.Run(ctx, t.items, bundles, updater.Options{FailFast: t.FailFast, Log: t.log})
	for _, c := range changed {
		failed := t.failed(results, c.label)
		if failed == nil {
			failed = r.settle(c.name)
		}
		if failed != nil {
			c.receipt.Applied, c.receipt.Err = false, explain(failed)
		}
	}
}

// failed is why a service that depends on the certificate was not told.
func (t *Target) failed(results []updater.Result, label string) error {
	for i, it := range t.items {
		switch {
		case !it.Concerns(label) || results[i].OK:
		case results[i].Err != nil:
			return &certfleet.Error{Kind: certfleet.KindOf(results[i].Err), Msg: "updater " + it.Name, Advice: certfleet.AdviceOf(results[i].Err), Err: results[i].Err}
		default:
			return fmt.Errorf("updater %s did not run, since an earlier one failed", it.Name)
		}
	}
	return nil
}
