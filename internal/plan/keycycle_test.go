package plan_test

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
)

func TestKeyCyclesShareByDayAndWeek(t *testing.T) {
	for _, c := range []struct {
		what    string
		cycle   certfleet.KeyCycle
		a, b    string // two moments
		account [2]int64
		typ     [2]certfleet.KeyType
		same    bool
	}{
		{what: "one day", cycle: certfleet.KeyGlobalDaily, a: "2026-03-14T00:00:00Z", b: "2026-03-14T23:59:59Z", same: true},
		{what: "midnight", cycle: certfleet.KeyGlobalDaily, a: "2026-03-14T23:59:59Z", b: "2026-03-15T00:00:00Z"},
		{what: "one day in UTC, two here", cycle: certfleet.KeyGlobalDaily, a: "2026-03-15T00:30:00+01:00", b: "2026-03-14T23:00:00Z", same: true},
		{what: "leap day", cycle: certfleet.KeyGlobalDaily, a: "2028-02-29T12:00:00Z", b: "2028-03-01T12:00:00Z"},
		{what: "Sunday to Monday", cycle: certfleet.KeyGlobalWeekly, a: "2026-03-15T23:59:59Z", b: "2026-03-16T00:00:00Z"},
		{what: "Monday to Sunday", cycle: certfleet.KeyGlobalWeekly, a: "2026-03-16T00:00:00Z", b: "2026-03-22T23:59:59Z", same: true},
		{what: "a week over the new year", cycle: certfleet.KeyGlobalWeekly, a: "2026-12-31T12:00:00Z", b: "2027-01-03T12:00:00Z", same: true},
		{what: "week 53 and week 1", cycle: certfleet.KeyGlobalWeekly, a: "2027-01-03T12:00:00Z", b: "2027-01-04T12:00:00Z"},
		{what: "first days of two years in week 53", cycle: certfleet.KeyGlobalWeekly, a: "2021-01-01T12:00:00Z", b: "2027-01-01T12:00:00Z"},
		{what: "the same account", cycle: certfleet.KeyAccountDaily, a: "2026-03-14T00:00:00Z", b: "2026-03-14T12:00:00Z", account: [2]int64{7, 7}, same: true},
		{what: "two accounts", cycle: certfleet.KeyAccountDaily, a: "2026-03-14T00:00:00Z", b: "2026-03-14T00:00:00Z", account: [2]int64{7, 8}},
		{what: "two accounts by week", cycle: certfleet.KeyAccountWeekly, a: "2026-03-14T00:00:00Z", b: "2026-03-14T00:00:00Z", account: [2]int64{7, 8}},
		{what: "two accounts, globally", cycle: certfleet.KeyGlobalDaily, a: "2026-03-14T00:00:00Z", b: "2026-03-14T00:00:00Z", account: [2]int64{7, 8}, same: true},
		{what: "two types", cycle: certfleet.KeyGlobalDaily, a: "2026-03-14T00:00:00Z", b: "2026-03-14T00:00:00Z", typ: [2]certfleet.KeyType{certfleet.P256, certfleet.RSA2048}},
	} {
		a, b := plan.Share(c.cycle, moment(t, c.a), c.account[0], c.typ[0]), plan.Share(c.cycle, moment(t, c.b), c.account[1], c.typ[1])
		if a == "" || (a == b) != c.same {
			t.Errorf("%s: %q and %q; want the same: %v", c.what, a, b, c.same)
		}
	}
	for _, c := range []certfleet.KeyCycle{"", certfleet.KeySingleUse, certfleet.KeyReuseYear} {
		if s := plan.Share(c, time.Now(), 1, certfleet.P256); s != "" {
			t.Errorf("%q shares %q", c, s)
		}
	}
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestACycleIsLeftToTheAccountAndTheSystem(t *testing.T) {
	const account, system = certfleet.KeyAccountDefault, certfleet.KeySystemDefault
	for _, c := range []struct{ policy, account, system, want certfleet.KeyCycle }{
		{"", "", "", certfleet.KeySingleUse},
		{"", certfleet.KeyGlobalDaily, certfleet.KeyGlobalWeekly, certfleet.KeySingleUse},
		{certfleet.KeyReuseYear, certfleet.KeyGlobalDaily, certfleet.KeyGlobalWeekly, certfleet.KeyReuseYear},
		{account, certfleet.KeyGlobalDaily, certfleet.KeyGlobalWeekly, certfleet.KeyGlobalDaily},
		{account, "", certfleet.KeyGlobalWeekly, certfleet.KeySingleUse},
		{account, system, certfleet.KeyGlobalWeekly, certfleet.KeyGlobalWeekly},
		{system, certfleet.KeyGlobalDaily, certfleet.KeyGlobalWeekly, certfleet.KeyGlobalWeekly},
		{system, certfleet.KeyGlobalDaily, account, certfleet.KeyGlobalDaily},
		{system, system, account, certfleet.KeySingleUse},
		{account, account, account, certfleet.KeySingleUse},
	} {
		if got := plan.Cycle(c.policy, c.account, c.system); got != c.want {
			t.Errorf("%q, account %q, system %q: %q; want %q", c.policy, c.account, c.system, got, c.want)
		}
	}
}

func TestAKeyServesOnceMoreOnlyWhenNothingIsAgainstIt(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	key := func(change func(*certfleet.Key)) *certfleet.Key {
		k := &certfleet.Key{ID: 1, Type: certfleet.P256, Custody: certfleet.CustodyCentral, Sealed: []byte("x"), CreatedAt: now.AddDate(0, 0, -30)}
		if change != nil {
			change(k)
		}
		return k
	}
	good := plan.Held{Key: key(nil)}
	aged := func(by time.Duration) plan.Held {
		return plan.Held{Key: key(func(k *certfleet.Key) { k.CreatedAt = now.Add(-by) })}
	}
	for what, c := range map[string]struct {
		ask  plan.KeyAsk
		want bool
	}{
		"single use":            {plan.KeyAsk{Cycle: certfleet.KeySingleUse, Type: certfleet.P256, Previous: good, Shared: good}, false},
		"kept":                  {plan.KeyAsk{Cycle: certfleet.KeySingleUse, Type: certfleet.P256, Keep: true, Previous: aged(9000 * time.Hour)}, true},
		"kept, of any type":     {plan.KeyAsk{Cycle: certfleet.KeySingleUse, Keep: true, Previous: plan.Held{Key: key(func(k *certfleet.Key) { k.Type = certfleet.RSA2048 })}}, true},
		"kept, and revoked":     {plan.KeyAsk{Keep: true, Previous: plan.Held{Key: key(nil), Revoked: true}}, false},
		"within a year":         {plan.KeyAsk{Cycle: certfleet.KeyReuseYear, Type: certfleet.P256, Previous: aged(365*24*time.Hour - time.Second)}, true},
		"after a year":          {plan.KeyAsk{Cycle: certfleet.KeyReuseYear, Type: certfleet.P256, Previous: aged(365 * 24 * time.Hour)}, false},
		"a year, no key before": {plan.KeyAsk{Cycle: certfleet.KeyReuseYear, Type: certfleet.P256}, false},
		"shared":                {plan.KeyAsk{Cycle: certfleet.KeyGlobalDaily, Type: certfleet.P256, Shared: good}, true},
		"shared, not its own":   {plan.KeyAsk{Cycle: certfleet.KeyGlobalDaily, Type: certfleet.P256, Previous: good}, false},
		"shared before kept":    {plan.KeyAsk{Cycle: certfleet.KeyGlobalDaily, Type: certfleet.P256, Keep: true, Previous: good}, false},
		"of another type":       {plan.KeyAsk{Cycle: certfleet.KeyReuseYear, Type: certfleet.P384, Previous: good}, false},
		"compromised":           {plan.KeyAsk{Cycle: certfleet.KeyGlobalDaily, Type: certfleet.P256, Shared: plan.Held{Key: key(func(k *certfleet.Key) { k.CompromisedAt = now })}}, false},
		"revoked":               {plan.KeyAsk{Cycle: certfleet.KeyGlobalDaily, Type: certfleet.P256, Shared: plan.Held{Key: key(nil), Revoked: true}}, false},
		"held elsewhere":        {plan.KeyAsk{Cycle: certfleet.KeyReuseYear, Type: certfleet.P256, Previous: plan.Held{Key: key(func(k *certfleet.Key) { k.Custody = certfleet.CustodyExternal })}}, false},
	} {
		c.ask.Now = now
		if got := plan.PickKey(c.ask); (got != nil) != c.want {
			t.Errorf("%s: %v; want a key to serve once more: %v", what, got, c.want)
		}
	}
}
