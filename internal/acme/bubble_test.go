package acme_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
)

// TestHalfAYearInABubble renews certificates by the bubble's clock, several at a
// time, against a CA without sockets.
func TestHalfAYearInABubble(t *testing.T) {
	b := pebble.InProcess(pebble.Options{Profiles: map[string]time.Duration{"month": 30 * 24 * time.Hour}, NonceReject: 10})
	defer b.Close()
	var mu sync.Mutex
	issued, began := 0, time.Now()
	synctest.Test(t, func(t *testing.T) {
		rt, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		k := &kit{T: t, client: acme.New(acme.Options{DirectoryURL: b.DirectoryURL, HTTP: &http.Client{Transport: rt}})}
		acct := k.register(newKey(t))
		year := time.Now().Add(180 * 24 * time.Hour)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				req := acme.OrderRequest{Names: names(t, fmt.Sprintf("b%d.example", i))}
				for time.Now().Before(year) {
					leaf := k.bubbleIssue(acct, req)
					if time.Until(leaf.end) < 29*24*time.Hour {
						t.Errorf("issued until %s at %s", leaf.end, time.Now())
					}
					mu.Lock()
					issued++
					mu.Unlock()
					time.Sleep(time.Until(leaf.renew))
				}
			})
		}
		wg.Wait()
	})
	if issued < 4*8 || issued > 4*10 {
		t.Errorf("%d certificates in half a year, want about 36", issued)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %s", took)
	}
}

type lifetime struct{ renew, end time.Time }

// bubbleIssue issues without presenting anything and asks when to renew.
func (k *kit) bubbleIssue(acct acme.Account, req acme.OrderRequest) lifetime {
	k.Helper()
	ctx := k.Context()
	o, err := k.client.NewOrder(ctx, acct, req)
	if err != nil {
		k.Fatal(err)
	}
	z := k.authorization(acct, o.Authorizations[0])
	if z.Status != "valid" {
		ch := z.Challenges[slices.IndexFunc(z.Challenges, func(c acme.Challenge) bool { return c.Type == certfleet.HTTP01 })]
		if _, err := k.client.Answer(ctx, acct, ch.URL); err != nil {
			k.Fatal(err)
		}
		if z = k.authorization(acct, z.URL); z.Status != "valid" {
			k.Fatalf("right after its answer the authorization is %s", z.Status)
		}
	}
	leaf := leafOf(k, k.finish(acct, o, newKey(k))[0])
	id, err := acme.ARIID(leaf)
	if err != nil {
		k.Fatal(err)
	}
	w, err := k.client.RenewalInfo(ctx, id)
	if err != nil {
		k.Fatal(err)
	}
	return lifetime{w.Start, leaf.NotAfter}
}
