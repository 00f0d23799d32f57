package store_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// itsLimit is what a page's own statement ends with; what is asked about its rows
// does not.
var itsLimit = regexp.MustCompile(`LIMIT \d+$`)

// listed are the questions that are put with a list of ids: of n objects that are
// not there, or of those of a page of n.
func listed(t *testing.T, n int) map[string]func(q store.Q) error {
	ctx, web := t.Context(), certfleet.Labels{"team": "web"}
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i + 1000)
	}
	return map[string]func(q store.Q) error{
		"former numbers":     func(q store.Q) error { return second(q.Former(ctx, 1, "version", ids...)) },
		"numbers before":     func(q store.Q) error { return second(q.FormerOf(ctx, 1, "version", ids...)) },
		"which carry":        func(q store.Q) error { return second(q.WhichCarry(ctx, ids, web)) },
		"certificate labels": func(q store.Q) error { return second(q.CertificateLabels(ctx, ids)) },
		"generations":        func(q store.Q) error { return second(q.Generations(ctx, ids)) },
		"last receipts":      func(q store.Q) error { return second(q.LastReceipts(ctx, ids, 1)) },
		"versions":           func(q store.Q) error { return second(q.VersionsByID(ctx, ids)) },
		"resting":            func(q store.Q) error { return second(q.DueDeliveriesBut(ctx, ids, now, 10)) },
		"certificates":       func(q store.Q) error { return last(q.Certificates(ctx, store.CertificateFilter{Limit: n})) },
		"deliveries":         func(q store.Q) error { return last(q.Deliveries(ctx, store.DeliveryFilter{Limit: n})) },
		"search":             func(q store.Q) error { return second(q.Search(ctx, 1, "shop", n)) },
	}
}

// TestAListOfIDsIsOneStatement keeps the texts of statements few, each of which is
// kept prepared: none follows from how long a list is.
func TestAListOfIDsIsOneStatement(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		f.group(t, db)
		for _, label := range []string{"shop2", "shop3"} {
			f.addCertificate(t, db, label, label+".example.com")
		}
		texts := func(ask func(q store.Q) error) (out []string) {
			var asked []store.Asked
			if err := ask(db.Recorded(&asked)); err != nil {
				t.Fatal(err)
			}
			for _, a := range asked {
				out = append(out, itsLimit.ReplaceAllString(a.SQL, ""))
			}
			return out
		}
		more := listed(t, 3)
		for what, ask := range listed(t, 1) {
			if one, three := texts(ask), texts(more[what]); len(one) == 0 || !slices.Equal(one, three) {
				t.Errorf("%s: one asks\n\t%q\nand three\n\t%q", what, one, three)
			}
		}
	})
}

// TestAnEmptyListAsksNothing spares those who often have none a round trip.
func TestAnEmptyListAsksNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		none := listed(t, 0)
		for _, what := range []string{"former numbers", "numbers before", "which carry", "certificate labels", "versions"} {
			var asked []store.Asked
			if err := none[what](db.Recorded(&asked)); err != nil || len(asked) > 0 {
				t.Errorf("%s: %v, asked %+v", what, err, asked)
			}
		}
		for _, what := range []string{"generations", "last receipts"} {
			if err := none[what](db.Q); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
