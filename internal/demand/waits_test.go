package demand

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

func TestWhereManyWaitNobodyElseDoes(t *testing.T) {
	r := &Room{DB: storetest.SQLite(t), Rules: &Rules{Patterns: []*regexp.Regexp{regexp.MustCompile(".*")}, Wait: trial.Patience}}
	if err := r.DB.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		return tx.AddPolicy(context.Background(), &certfleet.Policy{Label: "default"})
	}); err != nil {
		t.Fatal(err)
	}
	r.setUp()
	for range mostWaiting {
		r.waits <- struct{}{}
	}
	n, err := certfleet.ParseName("shop.example.net")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got, err := r.Get(t.Context(), 1, n)
	if took := time.Since(began); err != nil || !got.Pending || got.Certificate == 0 || took > trial.Patience/2 {
		t.Errorf("%+v, %v after %v; want it ordered, and nobody kept waiting", got, err, took)
	}
	<-r.waits
	if len(r.waits) != mostWaiting-1 {
		t.Errorf("%d wait, and nobody came", len(r.waits))
	}
}
