package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (k *kit) why(name string) api.Why {
	k.t.Helper()
	var w api.Why
	k.ok("GET", "/v1/why/"+name, "").into(k.t, &w)
	return w
}

// change writes rows by hand, as other rooms would.
func (k *kit) change(fn func(ctx context.Context, tx *store.Tx) error) {
	k.t.Helper()
	ctx := context.Background()
	must(k.t, k.db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return fn(ctx, tx) }))
}

func says(t *testing.T, w api.Why, parts ...string) {
	t.Helper()
	all := strings.Join(w.Sentences, "\n")
	for _, p := range parts {
		if !strings.Contains(all, p) {
			t.Errorf("%q is not said in\n%s", p, all)
		}
	}
}

func TestWhyKnowsNothingOfAName(t *testing.T) {
	w := newKit(t).why("nobody.example.com")
	if w.Verdict != "unknown" || w.Advice == "" || w.NextStep == "" {
		t.Errorf("%+v", w)
	}
	says(t, w, "nobody.example.com is not known here", "certfleet add nobody.example.com")
}

func TestWhyTellsOfAFailureAsTheCASaidIt(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/certificates", `{"names":["a.example.com"]}`)
	k.change(func(ctx context.Context, tx *store.Tx) error {
		c, err := tx.Certificate(ctx, 1)
		if err != nil {
			return err
		}
		c.Failures, c.Problem, c.Advice, c.FailedAt = 2, "dns :: NXDOMAIN looking up A for a.example.com", "create the name in DNS", tx.Now().Add(-5*time.Minute)
		c.DueAt, c.DueReason = tx.Now().Add(100*time.Minute), "try 3 after a failure"
		return tx.SaveCertificate(ctx, c)
	})
	w := k.why("a.example.com")
	if w.Verdict != "failing" || w.Problem == "" || w.Certificate.Label != "a.example.com" {
		t.Errorf("%+v", w)
	}
	says(t, w, "no certificate yet", "5 minutes ago: dns :: NXDOMAIN looking up A", "Advice: create the name in DNS", "try 3 after a failure", "another order is tried in 99 minutes")
}

func TestWhyTellsWhatIsServedWhere(t *testing.T) {
	k := newKit(t).fleet()
	chain, key := pair(t, 90*24*time.Hour, "shop.example.com", "*.shop.example.com")
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key, Manage: true, Targets: []string{"edge"}}))
	if w := k.why("shop.example.com"); w.Verdict != "unproven" || len(w.Slots) != 1 {
		t.Errorf("before it is seen: %+v", w)
	}
	v, err := k.db.Version(context.Background(), 1)
	must(t, err)
	k.change(func(ctx context.Context, tx *store.Tx) error {
		d, err := tx.Delivery(ctx, 1)
		if err != nil {
			return err
		}
		d.State, d.ServedAt, d.DueAt = certfleet.DeliveryServed, tx.Now(), tx.Now().Add(12*time.Hour)
		if err := tx.SaveDelivery(ctx, d); err != nil {
			return err
		}
		return tx.Saw(ctx, certfleet.Sighting{DeliveryID: 1, Name: v.Names[0], Address: "192.0.2.7:443", Fingerprint: v.Fingerprint, At: tx.Now().Add(-3 * time.Hour)})
	})
	w := k.why("shop.example.com")
	if w.Verdict != "served" || !w.Served[0].Ours {
		t.Errorf("%+v", w)
	}
	says(t, w, "serial "+v.Serial+" from Test Issuer", "valid for 89 days", "Target edge serves it at 192.0.2.7:443, seen 3 hours ago", "The next order opens in")
	if w := k.why("www.shop.example.com"); w.Certificate == nil || w.Certificate.Label != "shop.example.com" {
		t.Errorf("a name under the wildcard: %+v", w)
	}
}

func TestWhyTellsWhatAnOrderWaitsFor(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/accounts", `{"authority":"test-ca","later":true}`)
	k.ok("POST", "/v1/certificates", `{"names":["a.example.com"]}`)
	k.change(func(ctx context.Context, tx *store.Tx) error {
		o := &certfleet.Order{CertificateID: 1, AuthorityID: 1, AccountID: 1, Slot: certfleet.SlotECDSA, Lane: certfleet.LaneNew, DueAt: tx.Now().Add(time.Hour)}
		if err := tx.AddOrder(ctx, o); err != nil {
			return err
		}
		if err := tx.Pause(ctx, "test-ca|account:9|new-orders|", tx.Now().Add(time.Hour), "somebody else's"); err != nil {
			return err
		}
		return tx.Pause(ctx, "test-ca|account:1|new-orders|", tx.Now().Add(time.Hour), "too many new orders")
	})
	w := k.why("a.example.com")
	if w.Verdict != "waiting" || len(w.Pauses) != 1 || w.Order == nil {
		t.Errorf("%+v", w)
	}
	says(t, w, "Order 1 is on its way", "too many new orders", "Next: the order goes on in 59 minutes")
}

func TestSearchLeadsToTheCertificate(t *testing.T) {
	k := newKit(t).fleet()
	chain, key := pair(t, 90*24*time.Hour, "shop.example.com")
	var got api.Imported
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key, Targets: []string{"edge"}})).into(t, &got)
	for _, q := range []string{"shop", "example.com", got.Version.Serial, got.Version.Fingerprint, got.Version.SPKI, "Test+Issuer", got.Version.ARIID} {
		var hits api.Hits
		k.ok("GET", "/v1/search?q="+q, "").into(t, &hits)
		if len(hits.Hits) == 0 || hits.Hits[0].Certificate != "shop.example.com" || len(hits.Hits[0].Targets) != 1 || hits.Hits[0].VersionID != 1 {
			t.Errorf("%s: %+v", q, hits.Hits)
		}
	}
}

func TestWhyTellsOfAParkedCertificate(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/certificates", `{"names":["left.example.com"]}`)
	k.change(func(ctx context.Context, tx *store.Tx) error {
		c, err := tx.Certificate(ctx, 1)
		if err != nil {
			return err
		}
		c.State, c.DueAt = certfleet.Parked, tx.Now().Add(8*time.Hour)
		return tx.SaveCertificate(ctx, c)
	})
	w := k.why("left.example.com")
	says(t, w, "It is parked", "looked at again in ")
	if !strings.Contains(w.NextStep, "when its names are back") {
		t.Errorf("next: %s", w.NextStep)
	}
}

func TestWhyNamesTheNodeThatHoldsAnOrderAndWhenAnotherMay(t *testing.T) {
	for what, c := range map[string]struct {
		owner string
		free  time.Duration
		said  bool
	}{
		"held":              {"web1/77/123/abc", 90 * time.Second, true},
		"its claim ran out": {"web1/77/123/abc", -time.Second, false},
		"nobody's":          {"", 0, false},
	} {
		t.Run(what, func(t *testing.T) {
			k := newKit(t).fleet()
			k.ok("POST", "/v1/accounts", `{"authority":"test-ca","later":true}`)
			k.ok("POST", "/v1/certificates", `{"names":["a.example.com"]}`)
			k.change(func(ctx context.Context, tx *store.Tx) error {
				return tx.AddOrder(ctx, &certfleet.Order{CertificateID: 1, AuthorityID: 1, AccountID: 1, Slot: certfleet.SlotECDSA, Lane: certfleet.LaneNew, DueAt: tx.Now()})
			})
			k.change(func(ctx context.Context, tx *store.Tx) error {
				o, err := tx.LiveOrder(ctx, 1, certfleet.SlotECDSA)
				if err != nil || c.owner == "" {
					return err
				}
				return tx.ClaimOrder(ctx, o, c.owner, tx.Now().Add(c.free))
			})
			all := strings.Join(k.why("a.example.com").Sentences, "\n")
			if strings.Contains(all, "Node web1/77 works on it; if that node is gone, the order is free in ") != c.said {
				t.Errorf("held by %q: %s", c.owner, all)
			}
		})
	}
}
