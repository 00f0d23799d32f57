package issue_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestACAThatIsAwayForLongIsLeftForTheSecond takes the first CA away for good,
// while certificates of six days are to be renewed and new ones are asked for.
func TestACAThatIsAwayForLongIsLeftForTheSecond(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]fakeca.Fault{
		"nobody answers":             {Kind: fakeca.Outage},
		"it answers 503 and a time":  {Kind: fakeca.ServerError, Status: 503, After: fakeca.AfterSeconds, Delay: 24 * time.Hour},
		"it drops every new order":   {Kind: fakeca.Outage, Endpoint: "newOrder"},
		"it never answers to orders": {Kind: fakeca.Outage, Endpoint: "order"},
	} {
		t.Run(what, func(t *testing.T) {
			if fault.Kind != fakeca.Outage || fault.Endpoint != "" {
				trial.InFull(t)
			}
			t.Parallel()
			bubble(t, fakeca.Options{}, func(f *fleet) { f.leaves(fault) })
		})
	}
}

func (f *fleet) leaves(fault fakeca.Fault) {
	second, _ := f.secondCA()
	held := f.want(certfleet.LaneNew, "held.example")[0]
	f.live(time.Hour)
	before := f.certificate(held.ID)
	if before.VersionID == 0 {
		f.Fatalf("nothing was issued: %s", f.reasons())
	}
	f.ca.Inject(fault)
	fresh := f.want(certfleet.LaneNew, "fresh.example")[0]
	for range 6 {
		f.live(24 * time.Hour)
		if c := f.certificate(held.ID); time.Now().After(c.NotAfter) {
			f.Fatalf("it expired at %s: %s", c.NotAfter, c.DueReason)
		}
	}
	for _, c := range []*certfleet.Certificate{f.certificate(held.ID), f.certificate(fresh.ID)} {
		v, err := f.db.Version(f.Context(), c.VersionID)
		if err != nil || v.AuthorityID != second.ID {
			f.Errorf("%s: %v; it is due %s: %s, %s", c.Label, err, c.DueAt, c.DueReason, c.Problem)
		}
	}
}

// TestTheFirstCAIsAskedAgainWhenTheSecondIsAwayToo takes both CAs away, and brings
// one of them back when the order has been at either.
func TestTheFirstCAIsAskedAgainWhenTheSecondIsAwayToo(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		_, second := f.secondCA()
		held := f.want(certfleet.LaneNew, "held.example")[0]
		f.live(time.Hour)
		before := f.certificate(held.ID)
		if before.VersionID == 0 {
			f.Fatalf("nothing was issued: %s", f.reasons())
		}
		back := before.NotAfter.Add(-20 * time.Hour)
		f.ca.Inject(fakeca.Fault{Kind: fakeca.Outage, Until: back})
		second.Inject(fakeca.Fault{Kind: fakeca.Outage})
		for time.Now().Before(back) {
			f.live(6 * time.Hour)
		}
		asked := second.Stats().Requests["newOrder"] + second.Stats().Requests["directory"]
		if asked == 0 {
			f.Fatal("the second CA was never asked")
		}
		f.live(16 * time.Hour)
		got := f.certificate(held.ID)
		v, err := f.db.Version(f.Context(), got.VersionID)
		if err != nil || v.ID == before.VersionID {
			f.Fatalf("it is not renewed, %s before its end; the second CA was asked %d times: %s; %v", time.Until(got.NotAfter), asked, got.DueReason, err)
		}
	})
}

// secondCA gives the fleet's policy a second authority, with an account.
func (f *fleet) secondCA() (*certfleet.Authority, *fakeca.CA) {
	f.Helper()
	ca := fakeca.New(fakeca.Options{URL: "https://second.test", Trusting: true, Lean: true})
	a := &certfleet.Authority{Label: "second", DirectoryURL: ca.DirectoryURL()}
	first := f.room.Client
	f.room.Client = func(to *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error) {
		if to.Label != a.Label {
			return first(to, record)
		}
		return acme.New(acme.Options{DirectoryURL: to.DirectoryURL, HTTP: &http.Client{Transport: ca.RoundTripper()}, Record: record}), nil
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddAuthority(ctx, a); err != nil {
			return err
		}
		f.policy.Spec.Authorities = append(f.policy.Spec.Authorities, a.Label)
		if err := tx.SavePolicy(ctx, f.policy); err != nil {
			return err
		}
		return tx.AddAccount(ctx, &certfleet.Account{AuthorityID: a.ID, Label: "at the second", AgreedAt: tx.Now()})
	})
	return a, ca
}
