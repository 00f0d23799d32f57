package fakeca_test

import (
	"sync"
	"testing"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
)

func TestManyOrdersAtATime(t *testing.T) {
	k := start(t, fakeca.Options{Lean: true, Limits: fakeca.LetsEncrypt(), Faults: []fakeca.Fault{{Kind: fakeca.BadNonce, Share: 0.1}}})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 10 {
				leaf, _, err := k.tryIssue(acme.OrderRequest{Names: names(t, host(100*w+i))})
				if err != nil {
					t.Errorf("order %d of client %d: %v", i, w, err)
					return
				}
				if _, err := k.client.RenewalInfo(t.Context(), ariID(t, leaf)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s := k.ca.Stats(); s.Issued != 160 || s.Faults == 0 || s.Requests["finalize"] < 160 {
		t.Errorf("%+v", s)
	}
}
