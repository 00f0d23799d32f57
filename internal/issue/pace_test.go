package issue_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// plenty lets an account order as much as it likes, so that paces alone bind.
var plenty = []fakeca.Limit{{Name: fakeca.NewOrders, Count: 100000, Period: time.Hour}}

// burst places orders at one moment, and says how many the CA took.
func burst(f *fleet, client *acme.Client, n int) (taken int) {
	key, err := pki.GenerateKey(certfleet.P256)
	if err != nil {
		f.Fatal(err)
	}
	info, err := client.Register(f.Context(), key, acme.Registration{TermsAgreed: true})
	if err != nil {
		f.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() {
			names, err := certfleet.ParseNames([]string{fmt.Sprintf("b%d.example", i)})
			if err != nil {
				f.Error(err)
				return
			}
			ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
			defer cancel()
			if _, err = client.NewOrder(ctx, acme.Account{URL: info.URL, Key: key}, acme.OrderRequest{Names: names}); err == nil {
				mu.Lock()
				defer mu.Unlock()
				taken++
			}
		})
	}
	wg.Wait()
	return taken
}

// speaking is a client at the fleet's CA, paced by the room or not at all.
func (f *fleet) speaking(pace func(context.Context, string) error) *acme.Client {
	return acme.New(acme.Options{DirectoryURL: f.auth.DirectoryURL, HTTP: &http.Client{Transport: f.ca.RoundTripper()}, Pace: pace})
}

func (f *fleet) paceBreaches() (n int) {
	for _, b := range f.ca.Breaches() {
		if strings.HasPrefix(b.Limit, "pace-") {
			n += b.Count
		}
	}
	return n
}

func TestABurstKeepsToTheRatesOfTheCA(t *testing.T) {
	t.Parallel()
	o := fakeca.Options{Limits: plenty, Paces: fakeca.LetsEncryptPaces()}
	bubble(t, o, func(f *fleet) {
		began := time.Now()
		if n := burst(f, f.speaking(f.room.Pace(f.auth)), 500); n != 500 {
			f.Errorf("%d of 500 orders were taken", n)
		}
		if n := f.paceBreaches(); n != 0 {
			f.Errorf("%d requests came too fast: %+v", n, f.ca.Breaches())
		}
		if took := time.Since(began); took < time.Second || took > time.Minute {
			f.Errorf("500 orders took %s", took)
		}
	})
	bubble(t, o, func(f *fleet) {
		burst(f, f.speaking(nil), 500)
		if f.paceBreaches() == 0 {
			f.Error("the CA has no rates, so nothing was tested")
		}
	})
}

func TestAFullEndpointHoldsNoOtherBack(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		pace := f.room.Pace(f.auth)
		ctx, cancel := context.WithTimeout(f.Context(), 3*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for range 100 { // 8 at once and 16 a second
			wg.Go(func() {
				if err := pace(ctx, "newNonce"); certfleet.KindOf(err) == certfleet.Limited && !certfleet.RetryOf(err).IsZero() {
					mu.Lock()
					defer mu.Unlock()
					refused++
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if err := pace(ctx, "newOrder"); err != nil || time.Since(began) > 0 {
			f.Errorf("newOrder waited %s: %v", time.Since(began), err)
		}
		wg.Wait()
		if refused < 40 || refused > 50 {
			f.Errorf("%d of 100 were refused, want those whose turn comes after their deadline", refused)
		}
		if took := time.Since(began); took > 3*time.Second {
			f.Errorf("the last waited %s, longer than it may", took)
		}
	})
}

func TestNodesOfOneStoreShareTheRates(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{Limits: plenty, Paces: fakeca.LetsEncryptPaces()}, func(f *fleet) {
		list := f.want(certfleet.LaneNew, "one.example", "two.example")
		for i, c := range list {
			f.hold(c, fmt.Sprintf("node-%d", i))
		}
		other, _ := f.node("b", nil)
		var wg sync.WaitGroup
		for _, pace := range []func(context.Context, string) error{f.room.Pace(f.auth), other.Pace(f.auth)} {
			client := f.speaking(pace)
			for range 300 {
				wg.Go(func() {
					if _, err := client.RenewalInfo(f.Context(), "none.none"); err == nil {
						f.Error("there is renewal information of a certificate that nobody has")
					}
				})
			}
		}
		wg.Wait()
		if n := f.paceBreaches(); n != 0 {
			f.Errorf("%d requests of two nodes came too fast: %+v", n, f.ca.Breaches())
		}
	})
}

// TestAPaceThatAnOperatorSetHolds is at a CA that publishes none.
func TestAPaceThatAnOperatorSetHolds(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		small := &certfleet.Authority{Label: "small", DirectoryURL: "https://small.test/directory"}
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			if err := tx.AddAuthority(ctx, small); err != nil {
				return err
			}
			return tx.SetOverride(ctx, store.LimitOverride{Tenant: 1, Authority: "small", Name: "pace-other", N: 8, Period: 4 * time.Second, Burst: 1})
		})
		time.Sleep(10 * time.Second) // longer than overrides are believed
		pace, began := f.room.Pace(small), time.Now()
		for range 9 {
			if err := pace(f.Context(), "newOrder"); err != nil {
				f.Fatal(err)
			}
		}
		if took := time.Since(began); took != 5*time.Second {
			f.Errorf("nine requests at four fifths of two a second took %s, want 5 s", took)
		}
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.RemoveOverride(ctx, store.LimitOverride{Tenant: 1, Authority: "small", Name: "pace-other"})
		})
		time.Sleep(10 * time.Second)
		began = time.Now()
		for range 9 {
			if err := pace(f.Context(), "newOrder"); err != nil || time.Since(began) > 0 {
				f.Fatalf("where nobody knows a pace, a request waited %s, %v", time.Since(began), err)
			}
		}
	})
}

// TestTheDeadLeaveTheirShareOfAPace lets the claim of a second node run out.
func TestTheDeadLeaveTheirShareOfAPace(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		list := f.want(certfleet.LaneNew, "one.example", "two.example")
		for i, c := range list {
			f.hold(c, fmt.Sprintf("node-%d", i))
		}
		pace := f.room.Pace(f.auth)
		took := func() time.Duration {
			began := time.Now()
			for range 50 {
				if err := pace(f.Context(), "newNonce"); err != nil {
					f.Fatal(err)
				}
			}
			return time.Since(began)
		}
		shared := took()
		time.Sleep(2 * time.Hour) // both claims run out
		if alone := took(); alone > shared*2/3 {
			f.Errorf("50 requests took %s beside another node, and %s after its claim ran out", shared, alone)
		}
	})
}

// hold opens an order and claims it for a node.
func (f *fleet) hold(c *certfleet.Certificate, node string) {
	f.Helper()
	if err := f.room.Open(f.Context(), c.ID, time.Now()); err != nil {
		f.Fatal(err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		due, err := tx.DueOrders(ctx, tx.Now(), 100)
		if err != nil {
			return err
		}
		for _, o := range due {
			if o.CertificateID == c.ID {
				return tx.ClaimOrder(ctx, &o, node, tx.Now().Add(time.Hour))
			}
		}
		return errors.New("the certificate has no order that is due")
	})
}
