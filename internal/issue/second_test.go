package issue_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/preflight"
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

// TestTheChallengeOfANameChangesForItsOwnFailuresAlone gives a certificate of two
// names failures as they come, and looks how each is proved next.
func TestTheChallengeOfANameChangesForItsOwnFailuresAlone(t *testing.T) {
	t.Parallel()
	const (
		shut   = "connection\ta.example: Fetching http://a.example/x: Connection refused"
		limit  = "rateLimited\ttoo many failed authorizations (5) for \"a.example\" in the last 1h0m0s"
		outage = "serverInternal\tThe service is down for maintenance"
		caa    = "caa\ta.example: CAA record for a.example prevents issuance"
		txt    = "notVisible\tthe dns-01 record of a.example was not visible after 10m0s"
		others = "connection\tb.example: Connection refused"
		ended  = "issued\t"
	)
	for what, c := range map[string]struct {
		failed []string // oldest first
		a, b   certfleet.ChallengeType
	}{
		"nothing yet":                     {nil, certfleet.HTTP01, certfleet.HTTP01},
		"a port that is closed":           {[]string{shut}, certfleet.DNS01, certfleet.HTTP01},
		"a limit":                         {[]string{limit}, certfleet.HTTP01, certfleet.HTTP01},
		"an outage":                       {[]string{outage, outage, outage}, certfleet.HTTP01, certfleet.HTTP01},
		"CAA":                             {[]string{caa}, certfleet.HTTP01, certfleet.HTTP01},
		"a closed port, then an outage":   {[]string{shut, outage}, certfleet.DNS01, certfleet.HTTP01},
		"a closed port, then no record":   {[]string{shut, txt}, certfleet.HTTP01, certfleet.HTTP01},
		"the other name":                  {[]string{others}, certfleet.HTTP01, certfleet.DNS01},
		"both":                            {[]string{shut, others}, certfleet.DNS01, certfleet.DNS01},
		"before the certificate was got":  {[]string{shut, ended, outage}, certfleet.HTTP01, certfleet.HTTP01},
		"long before it was looked after": {[]string{shut, outage, outage, ""}, certfleet.HTTP01, certfleet.HTTP01},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, fakeca.Options{}, func(f *fleet) {
				cert := f.want(certfleet.LaneNew, "a.example,b.example")[0]
				f.room.Preflight = nil
				f.tx(func(ctx context.Context, tx *store.Tx) error {
					for _, n := range cert.Names {
						d, err := tx.Domain(ctx, 1, n)
						if err == nil {
							err = tx.SetSecondProof(ctx, store.SecondProof{DomainID: d.ID, Challenge: certfleet.DNS01})
						}
						if err != nil {
							return err
						}
					}
					for _, p := range c.failed {
						if p == "" {
							cert.Failures = 1 // as when it was parked and came back
							continue
						}
						o := &certfleet.Order{CertificateID: cert.ID, AuthorityID: f.auth.ID, AccountID: f.acct.ID, Slot: certfleet.SlotECDSA, Names: cert.Names}
						if err := tx.AddOrder(ctx, o); err != nil {
							return err
						}
						o.ProblemType, o.Problem, _ = strings.Cut(p, "\t")
						o.State, o.FinishedAt = certfleet.OrderFailed, tx.Now()
						cert.Failures++
						if p == ended {
							o.State, cert.Failures = certfleet.OrderIssued, 0
						}
						if err := tx.SaveOrder(ctx, o); err != nil {
							return err
						}
					}
					return tx.SaveCertificate(ctx, cert)
				})
				asked := map[string]certfleet.ChallengeType{}
				f.room.Preflight = func(_ context.Context, _ *certfleet.Authority, _ *certfleet.Policy, asks []issue.Ask) []preflight.Report {
					for _, a := range asks {
						asked[a.Name.String()] = a.Challenge
					}
					return nil
				}
				f.live(time.Second)
				if asked["a.example"] != c.a || asked["b.example"] != c.b {
					f.Errorf("a is proved by %s and b by %s; want %s and %s", asked["a.example"], asked["b.example"], c.a, c.b)
				}
			})
		})
	}
}
