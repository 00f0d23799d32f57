package issue_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestASecondChallengeIsForTheTryAfterAFailedOne lets http-01 fail for good: the
// first order uses it all the same, the second gets the certificate by dns-01.
func TestASecondChallengeIsForTheTryAfterAFailedOne(t *testing.T) {
	t.Parallel()
	nobody := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(nobody.Close)
	h := build(t, storetest.SQLite(t), pebble.Options{HTTPPort: nobody.Listener.Addr().(*net.TCPAddr).Port})
	c := h.want("both.example")
	d, err := h.db.Domain(t.Context(), 1, c.Names[0])
	if err != nil {
		t.Fatal(err)
	}
	d.Challenge = certfleet.HTTP01
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SaveDomain(ctx, d); err != nil {
			return err
		}
		return tx.SetSecondProof(ctx, store.SecondProof{DomainID: d.ID, Challenge: certfleet.DNS01})
	})
	r := h.room(nil)
	try := func(want certfleet.ChallengeType, end certfleet.OrderState) {
		t.Helper()
		o := h.finish(r, h.open(r, h.again(c.ID)).ID)
		list, err := h.db.AuthorizationsOf(t.Context(), o.ID)
		if err != nil || len(list) != 1 || list[0].Challenge != want || o.State != end {
			t.Fatalf("order is %s (%s), proved by %+v, %v; want %s by %s", o.State, o.Problem, list, err, end, want)
		}
	}
	try(certfleet.HTTP01, certfleet.OrderFailed)
	try(certfleet.DNS01, certfleet.OrderIssued)
	if got := h.certificate(c.ID); got.Failures != 0 {
		t.Errorf("after the certificate was got there are %d failures", got.Failures)
	}
}
