package plan_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/plan"
)

func TestALimitFreesTooLateAtHalfOfTheSlack(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	expiry := now.Add(30 * 24 * time.Hour)
	urgent := plan.UrgentAt(expiry.Add(-90*24*time.Hour), expiry)
	for what, c := range map[string]struct {
		until, urgent, expiry time.Time
		want                  bool
	}{
		"a person":                    {time.Time{}, urgent, expiry, true},
		"before half of the slack":    {expiry.Add(-15 * 24 * time.Hour), urgent, expiry, false},
		"after half of the slack":     {expiry.Add(-15*24*time.Hour + time.Second), urgent, expiry, true},
		"never got, in a few hours":   {now.Add(6 * time.Hour), time.Time{}, time.Time{}, false},
		"never got, only after those": {now.Add(7 * time.Hour), time.Time{}, time.Time{}, true},
	} {
		if got := plan.TooLate(now, c.until, c.urgent, c.expiry); got != c.want {
			t.Errorf("%s: %v; want %v", what, got, c.want)
		}
	}
}

func TestHowLongManyRenewalsTake(t *testing.T) {
	own := []plan.Override{{Authority: "own-ca", Limit: plan.Limit{Name: plan.NewOrders, Count: 100, Period: time.Hour}}}
	for _, c := range []struct {
		authority string
		n         int
		want      time.Duration
		limit     plan.LimitName
	}{
		{"own-ca", 100, 0, ""},
		{"own-ca", 1100, 10 * time.Hour, plan.NewOrders},
		{"nobody-knows", 1e6, 0, ""},
		{"letsencrypt", 100, 0, ""},
		{"letsencrypt", 300_160, 1500 * time.Second, "pace-newOrder"}, // renewals of the same names are not counted; 240 a second, in whole milliseconds
	} {
		got := plan.NewBook(c.authority, own).Renewing(c.n, "us")
		if got.Takes != c.want || got.Limit != c.limit {
			t.Errorf("%d at %s: %+v; want %s by %s", c.n, c.authority, got, c.want, c.limit)
		}
	}
}

func TestHowManyAreRenewedInTime(t *testing.T) {
	own := plan.NewBook("own-ca", []plan.Override{{Authority: "own-ca", Limit: plan.Limit{Name: plan.NewOrders, Count: 100, Period: time.Hour}}})
	for in, want := range map[time.Duration]int{-time.Hour: 0, time.Minute: 101, time.Hour: 200, 100 * time.Hour: 1000} {
		if got := own.RenewingWithin(1000, "us", in); got != want {
			t.Errorf("in %s %d of 1000 are renewed, want %d", in, got, want)
		}
	}
	if got := plan.NewBook("letsencrypt", nil).Revoking(1080); got.Takes != 125*time.Second || got.Limit != "pace-revokeCert" {
		t.Errorf("1080 revocations: %+v; want 8 a second after the first 80", got)
	}
}

func TestRenewalsOfOneDomainAreCountedWhereTheCADoes(t *testing.T) {
	few := plan.Limit{Name: plan.PerDomain, Count: 10, Period: time.Hour}
	for _, c := range []struct {
		authority string
		overrides []plan.Override
		counts    bool
		takes     time.Duration
		done      int
	}{
		{"own-ca", []plan.Override{{Authority: "own-ca", Limit: few}}, true, 2 * time.Hour, 20},
		{"own-ca", nil, false, 0, 30},
		{"letsencrypt", []plan.Override{{Authority: "letsencrypt", Limit: few}}, false, 0, 30}, // the same names are exempt
	} {
		b := plan.NewBook(c.authority, c.overrides)
		got, done := b.RenewingOf("great.example", 30, "us", time.Hour)
		if b.CountsDomains() != c.counts || got.Takes != c.takes || done != c.done {
			t.Errorf("%s with %+v: counts %v, 30 take %s, %d in an hour; want %v, %s, %d", c.authority, c.overrides, b.CountsDomains(), got.Takes, done, c.counts, c.takes, c.done)
		}
	}
}
