package store_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestAFactoryIsKeptWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		f := certfleet.Factory{Label: "hosting", Labels: certfleet.Labels{"site": "one"}, Spec: certfleet.FactorySpec{
			Policy: "p", HTTP01: []string{"{DOMAIN}"}, DNS01: []string{"*.{DOMAIN}"}, Solver: "office", LabelTemplate: "{DOMAIN}", Targets: []string{"edge"},
			CertificateLabels: certfleet.Labels{"tenant": "acme"}, Note: "for all", Duplicates: certfleet.DNS01ThenHTTP}}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddFactory(ctx, &f) })
		same := func(got *certfleet.Factory, err error) {
			t.Helper()
			if err != nil || !reflect.DeepEqual(*got, f) {
				t.Errorf("got %+v, %v; want %+v", got, err, f)
			}
		}
		same(db.Factory(ctx, f.ID))
		same(db.FactoryByLabel(ctx, 0, "hosting"))
		f.Spec.Note, f.Labels = "for some", certfleet.Labels{"site": "two"}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveFactory(ctx, &f) })
		same(db.Factory(ctx, f.ID))
		if list, err := db.Factories(ctx, 0); err != nil || len(list) != 1 || list[0].Label != "hosting" {
			t.Errorf("factories %+v, %v", list, err)
		}
		if list, err := db.Factories(ctx, 7); err != nil || len(list) != 0 {
			t.Errorf("another tenant's factories %+v, %v", list, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.RemoveFactory(ctx, f.ID) })
		if _, err := db.Factory(ctx, f.ID); certfleet.KindOf(err) != certfleet.NotFound {
			t.Errorf("a removed factory: %v", err)
		}
	})
}

func TestADomainHasASecondChallengeOrNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		d, err := db.Domain(t.Context(), 0, f.cert.Names[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []store.SecondProof{{DomainID: d.ID}, {d.ID, certfleet.DNS01, "office"}, {d.ID, certfleet.HTTP01, ""}, {DomainID: d.ID}} {
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSecondProof(ctx, want) })
			if got, err := db.SecondProof(t.Context(), d.ID); err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		}
	})
}
