package plan

import (
	"slices"
	"testing"
	"time"
)

func TestARefusalTeachesWhichLimitItWas(t *testing.T) {
	names := parse(t, "a.shop.example", "b.customer.example")
	const help = "https://ca.example/docs/rate-limits/#"
	for _, c := range []struct{ detail, help, want string }{
		{"too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-01 02:00:00 UTC: see " + help + "new-orders-per-account", "", "le|" + us + "|new-orders|"},
		{`too many certificates (50) already issued for "customer.example" in the last 168h0m0s, retry after 2026-11-01 02:00:00 UTC: see ` + help + "new-certificates-per-registered-domain", "", "le||certificates-per-domain|customer.example"},
		{"too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-11-01 02:00:00 UTC", "", "le||certificates-per-set|a.shop.example,b.customer.example"},
		{`too many failed authorizations (5) for "b.customer.example" in the last 1h0m0s, retry after 2026-11-01 02:00:00 UTC`, "", "le|" + us + "|failed-validations|b.customer.example"},
		{"slow down", help + "authorization-failures-per-identifier-per-account", "le|" + us + "|failed-validations|a.shop.example"},
		{"Your account is temporarily prevented from requesting certificates for b.customer.example and possibly others. Please visit: https://ca.example/unpause", "", "le|" + us + "|consecutive-failures|b.customer.example"},
		{"too many new registrations (10) from this IP address in the last 3h0m0s", "", "le|" + us + "|new-accounts|"},
		{"too many requests", "", "le|" + us + "|new-orders|"},
	} {
		l := Learn(Refusal{Authority: "le", Account: us, Names: names, Detail: c.detail, Help: c.help}, t0)
		if l.Key.String() != c.want {
			t.Errorf("%q teaches %q, want %q", c.detail, l.Key, c.want)
		}
	}
}

func TestHowLongALessonHolds(t *testing.T) {
	const said = "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-01 02:00:00 UTC"
	for what, c := range map[string]struct {
		r    Refusal
		want time.Duration
	}{
		"as the header says":       {Refusal{Detail: said, RetryAt: t0.Add(time.Hour)}, time.Hour},
		"as the text says":         {Refusal{Detail: said}, 2 * time.Hour},
		"nothing said":             {Refusal{Detail: "no"}, learnedWait},
		"a time in the past":       {Refusal{RetryAt: t0.Add(-time.Hour)}, learnedWait},
		"an absurd time":           {Refusal{RetryAt: t0.Add(9999 * day)}, maxLearned},
		"a date that is no date":   {Refusal{Detail: "retry after 2026-99-99 99:99:99 UTC"}, learnedWait},
		"a pause waits for people": {Refusal{Detail: "paused", RetryAt: t0.Add(time.Hour), Names: parse(t, "a.example")}, 0},
	} {
		l := Learn(c.r, t0)
		if c.want == 0 && !l.Until.IsZero() || c.want != 0 && !l.Until.Equal(t0.Add(c.want)) {
			t.Errorf("%s: until %s", what, l.Until)
		}
	}
}

// TestNoLimitTakesLongerThanItsBucketToFill is for times that no CA can mean.
func TestNoLimitTakesLongerThanItsBucketToFill(t *testing.T) {
	b := NewBook("letsencrypt", []Override{{Account: "slow", Limit: Limit{Name: NewOrders, Count: 1, Period: day, Burst: 3}}})
	for k, want := range map[Key]time.Duration{
		{Account: us, Limit: NewOrders}:              3 * time.Hour,
		{Account: "slow", Limit: NewOrders}:          3 * day,
		{Limit: PerDomain, Subject: "shop.example"}:  week,
		{Account: us, Limit: FailedValidations}:      time.Hour,
		{Account: us, Limit: ConsecutiveFailures}:    maxLearned,
		{Account: us, Limit: "of which nobody told"}: maxLearned,
	} {
		if got := b.Longest(k); got < want || got > want+time.Second {
			t.Errorf("%s: %s, want %s", k, got, want)
		}
	}
}

func TestALessonStopsNoMoreThanItMust(t *testing.T) {
	a, b := parse(t, "x.a.example"), parse(t, "x.b.example")
	for _, c := range []struct {
		what      string
		authority string
		detail    string
		asking    Asking
		after     time.Duration
		want      bool
	}{
		{"an account's limit stops new orders", "letsencrypt", "too many new orders", Asking{Account: us, Names: b}, 0, true},
		{"but not a renewal in its window", "letsencrypt", "too many new orders", Asking{Account: us, Names: b, InWindow: true}, 0, false},
		{"and not another account", "letsencrypt", "too many new orders", Asking{Account: "them", Names: b}, 0, false},
		{"where nothing is exempt it stops renewals too", "elsewhere", "too many new orders", Asking{Account: us, Names: b, InWindow: true}, 0, true},
		{"it ends", "letsencrypt", "too many new orders", Asking{Account: us, Names: b}, learnedWait, false},
		{"a domain's limit stops the domain", "letsencrypt", `already issued for "a.example"`, Asking{Account: us, Names: a}, 0, true},
		{"for every account", "letsencrypt", `already issued for "a.example"`, Asking{Account: "them", Names: a}, 0, true},
		{"but no other domain", "letsencrypt", `already issued for "a.example"`, Asking{Account: us, Names: b}, 0, false},
		{"and not the same set again", "letsencrypt", `already issued for "a.example"`, Asking{Account: us, Names: a, SameSet: true}, 0, false},
		{"a name's failures stop the name", "letsencrypt", `too many failed authorizations (5) for "x.a.example"`, Asking{Account: us, Names: a}, 0, true},
		{"but not the account", "letsencrypt", `too many failed authorizations (5) for "x.a.example"`, Asking{Account: us, Names: b}, 0, false},
		{"a paused name is stopped even in its window", "letsencrypt", "temporarily prevented from requesting certificates for x.a.example", Asking{Account: us, Names: a, InWindow: true}, 999 * day, true},
	} {
		l := Learn(Refusal{Authority: c.authority, Account: us, Names: a, Detail: c.detail}, t0)
		book := NewBook(c.authority, []Override{{Authority: c.authority, Account: us, Limit: Limit{Name: PerDomain, Count: 90, Period: week}}})
		if got := book.Stops(l, c.asking, t0.Add(c.after)); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

func TestWatchedKeysAreThoseThatStop(t *testing.T) {
	b := NewBook("letsencrypt", nil)
	names := parse(t, "a.shop.example", "b.shop.example")
	for _, a := range []Asking{{Account: us, Names: names}, {Account: us, Names: names, SameSet: true}, {Account: us, Names: names, InWindow: true, SameSet: true}} {
		watched := b.Watched(a)
		for _, k := range watched {
			if !b.Stops(Lesson{Key: k}, a, t0) {
				t.Errorf("%s is watched and stops nothing of %+v", k, a)
			}
		}
		for _, touch := range b.Touches(Asking{Account: us, Names: names}) {
			if stops := b.Stops(Lesson{Key: touch.Key}, a, t0); stops != slices.Contains(watched, touch.Key) {
				t.Errorf("%s stops %v, and is not watched so: %+v", touch.Key, stops, a)
			}
		}
	}
}

func TestAnEmptyBucketGivesOneTokenWhenTheCASaid(t *testing.T) {
	l, until := Limit{Name: NewOrders, Count: 300, Period: 3 * time.Hour}, t0.Add(time.Hour)
	b := Empty(Bucket{Held: 2}, l, until)
	for at, want := range map[time.Duration]int{-1: 0, 0: 1, 36 * time.Second: 2} {
		if got := Left(Bucket{TAT: b.TAT}, l, until.Add(at)); got != want {
			t.Errorf("%s after that moment %d are left, want %d", at, got, want)
		}
	}
	if b.Held != 2 || Empty(Bucket{Held: 1}, Limit{}, until) != (Bucket{Held: 1}) {
		t.Errorf("held %d; what is held stays, and nothing is known of no limit", b.Held)
	}
}
